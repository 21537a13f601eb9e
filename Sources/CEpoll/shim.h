#pragma once
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

// glibc declares it for _GNU_SOURCE only.
extern int pthread_setname_np(pthread_t thread, const char *name);
