import Benchmark
import Kernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .throughput, cpu], scalingFactor: .kilo, maxDuration: .seconds(1), maxIterations: .max)
    for kernel in Kernel.all {
        Benchmark(kernel.name) { benchmark in
            let operations = try kernel.prepare()
            try await measure(benchmark) { count in blackHole(try operations(count)) }
        }
    }
    addCallBenchmarks()
}

/// Of one operation, on all threads. The library's own figure comes from a clock of ten milliseconds.
private let cpu = BenchmarkMetric.custom("CPU of one (ns)", polarity: .prefersSmaller, useScalingFactor: false)

/// One sample: a thousand operations, whose figures are shown for one.
func measure(_ benchmark: Benchmark, _ operations: (_ count: Int) async throws -> Void) async throws {
    let count = benchmark.scaledIterations.count
    let used = cpuNanoseconds()
    benchmark.startMeasurement()
    try await operations(count)
    benchmark.stopMeasurement()
    benchmark.measurement(cpu, (cpuNanoseconds() - used) / count)
}

private func cpuNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Int(time.tv_sec) * 1_000_000_000 + Int(time.tv_nsec)
}
