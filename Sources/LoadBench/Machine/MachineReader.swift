import Foundation
import Glibc

/// Reads /proc for a cluster's processes and the machine. A sample takes a fraction of a millisecond.
package struct MachineReader: Sendable {
    package private(set) var processes: [ClusterProcesses.Process]
    private var trees: [[Int32]] = []
    /// What a process had used when another took its place, and at the last sample.
    private var past: [Double]
    private var last: [Double]
    private static let tick = 1 / Double(sysconf(Int32(_SC_CLK_TCK)))
    private static let pageKiB = sysconf(Int32(_SC_PAGESIZE)) / 1024

    package init(_ processes: [ClusterProcesses.Process]) {
        self.processes = processes
        past = processes.map { _ in 0 }
        last = past
        findChildren()
    }

    /// Goes by other pids from now on, where processes were started anew; their CPU goes on counting.
    package mutating func update(_ current: [ClusterProcesses.Process]) {
        for (place, process) in processes.enumerated() {
            guard let now = current.first(where: { $0.name == process.name }), now.pid != process.pid else { continue }
            processes[place].pid = now.pid
            past[place] = last[place]
        }
    }

    /// Looks for the processes' children anew. It reads all of /proc: some milliseconds.
    package mutating func findChildren() {
        var children: [Int32: [Int32]] = [:]
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = Int32(entry), let stat = Self.stat(pid) else { continue }
            children[stat.parent, default: []].append(pid)
        }
        trees = processes.map { process in
            var pids = [process.pid]
            var next = 0
            while next < pids.count {
                pids += children[pids[next]] ?? []
                next += 1
            }
            return pids
        }
    }

    /// - Parameter time: seconds of the run's clock.
    package mutating func sample(time: Double) -> MachineSample {
        var sample = MachineSample(
            time: time, cpu: [], anonymousKiB: [], generatorCPU: Double(LoadLoop.usedCPU) / 1e9, machineBusy: 0,
            machineStolen: 0)
        for (process, pids) in trees.enumerated() {
            var (ticks, pages): (UInt64, UInt64) = (0, 0)
            for (place, pid) in pids.enumerated() {
                if let stat = Self.stat(pid) { ticks += stat.ticks + (place == 0 ? stat.reapedTicks : 0) }
                if let memory = Self.bytes("/proc/\(pid)/statm").flatMap(ProcParsing.statm) {
                    pages += memory.anonymous
                }
            }
            // What is gone keeps what it had used.
            last[process] = max(last[process], past[process] + Double(ticks) * Self.tick)
            sample.cpu.append(last[process])
            sample.anonymousKiB.append(Int(pages) * Self.pageKiB)
        }
        if let machine = Self.bytes("/proc/stat").flatMap(ProcParsing.machine) {
            sample.machineBusy = Double(machine.busy) * Self.tick
            sample.machineStolen = Double(machine.stolen) * Self.tick
        }
        return sample
    }

    /// Seconds of CPU that a process has used.
    package static func cpuSeconds(_ pid: Int32) -> Double { stat(pid).map { Double($0.ticks) * tick } ?? 0 }

    private static func stat(_ pid: Int32) -> ProcParsing.Stat? {
        bytes("/proc/\(pid)/stat").flatMap(ProcParsing.stat)
    }

    /// The first bytes of a small file; nil where it can't be read.
    static func bytes(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
            count = max(0, read(descriptor, buffer.baseAddress, buffer.count))
        }
        return bytes.isEmpty ? nil : bytes
    }
}
