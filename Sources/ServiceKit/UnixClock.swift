import Glibc

/// The time of day, where a `Clock` is too much.
package enum UnixClock {
    /// Unix milliseconds.
    package static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
