// The multi-threaded client declares its synchronous calls only under this macro.
#pragma once
#ifndef THREADED
#define THREADED
#endif
#include <zookeeper/zookeeper.h>

// Swift does not import these structs and macros by value.
static inline const struct ACL_vector *czk_acl_open_unsafe(void) { return &ZOO_OPEN_ACL_UNSAFE; }
static inline const struct ACL_vector *czk_acl_read_unsafe(void) { return &ZOO_READ_ACL_UNSAFE; }
static inline const struct ACL_vector *czk_acl_creator_all(void) { return &ZOO_CREATOR_ALL_ACL; }
