/// What the cluster, the generator and the machine have used up to a time.
package struct MachineSample: Sendable, Equatable {
    /// Seconds of the run's clock.
    package var time: Double
    /// Seconds of CPU by process, its children (PostgreSQL's) with it.
    package var cpu: [Double]
    /// KiB of anonymous memory by process, its children with it.
    package var anonymousKiB: [Int]
    package var generatorCPU: Double
    /// Seconds of all cores together.
    package var machineBusy: Double
    package var machineStolen: Double

    package init(
        time: Double, cpu: [Double], anonymousKiB: [Int], generatorCPU: Double, machineBusy: Double,
        machineStolen: Double
    ) {
        (self.time, self.cpu, self.anonymousKiB) = (time, cpu, anonymousKiB)
        (self.generatorCPU, self.machineBusy, self.machineStolen) = (generatorCPU, machineBusy, machineStolen)
    }
}

/// Who used the cores between two samples.
package struct MachineUse: Sendable, Equatable {
    package var seconds = 0.0
    /// Seconds of CPU.
    package var byRole: [String: Double] = [:]
    package var byProcess: [String: Double] = [:]
    package var generator = 0.0
    /// Everything else on the machine.
    package var others = 0.0
    package var stolen = 0.0

    package init() {}

    package mutating func add(_ other: MachineUse) {
        seconds += other.seconds
        byRole.merge(other.byRole, uniquingKeysWith: +)
        byProcess.merge(other.byProcess, uniquingKeysWith: +)
        generator += other.generator
        others += other.others
        stolen += other.stolen
    }

    package init(from start: MachineSample, to end: MachineSample, processes: [ClusterProcesses.Process]) {
        seconds = max(1e-9, end.time - start.time)
        for (index, process) in processes.enumerated() {
            let used = max(0, end.cpu[index] - start.cpu[index])
            byRole[process.role, default: 0] += used
            byProcess[process.name, default: 0] += used
        }
        generator = end.generatorCPU - start.generatorCPU
        stolen = max(0, end.machineStolen - start.machineStolen)
        others = max(0, end.machineBusy - start.machineBusy - generator - byRole.values.reduce(0, +))
    }

    package var servers: Double { byRole.values.reduce(0, +) }
}
