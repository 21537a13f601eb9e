#if canImport(Glibc)
    import Glibc
#endif

/// The C library's allocator, kept from holding on to memory that connections are done with. Nothing where it isn't glibc.
enum Allocator {
    /// Gives blocks of 128 KiB and more back to the system when they are freed. That is where glibc begins, but it raises the
    /// bound with each such block (to 32 MiB), and keeps twice as much at the end of a heap.
    static func returnLargeBlocks() {
        #if canImport(Glibc)
            typealias Function = @convention(c) (_ parameter: Int32, _ value: Int32) -> Int32
            guard let symbol = dlsym(nil, "mallopt") else { return }
            let mallopt = unsafeBitCast(symbol, to: Function.self)
            // M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h, which Swift's Glibc module lacks.
            for parameter: Int32 in [-1, -3] { _ = mallopt(parameter, 128 * 1024) }
        #endif
    }

    /// Gives back the free pages between blocks that are in use. It takes milliseconds.
    static func trim() {
        #if canImport(Glibc)
            typealias Function = @convention(c) (_ pad: Int) -> Int32
            guard let symbol = dlsym(nil, "malloc_trim") else { return }
            _ = unsafeBitCast(symbol, to: Function.self)(0)
        #endif
    }
}
