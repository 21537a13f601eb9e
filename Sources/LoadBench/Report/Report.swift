/// What a run found: everything that is printed, written as JSON, or drawn.
///
/// Names become snake_case in JSON; a field is never renamed, so that reports of different versions can be compared.
package struct Report: Codable, Sendable, Equatable {
    package struct Point: Codable, Sendable, Equatable {
        package var x: Double
        package var y: Double

        package init(x: Double, y: Double) { (self.x, self.y) = (x, y) }
    }

    package struct Series: Codable, Sendable, Equatable {
        package var name: String
        package var points: [Point]

        package init(name: String, points: [Point]) { (self.name, self.points) = (name, points) }
    }

    /// One figure with its unit.
    package struct Figure: Codable, Sendable, Equatable {
        package var name: String
        package var value: Double
        package var unit: FigureUnit
        package var note: String?

        package init(_ name: String, _ value: Double, _ unit: FigureUnit, note: String? = nil) {
            (self.name, self.value, self.unit, self.note) = (name, value, unit, note)
        }
    }

    /// What was asked for and what came in one stretch of a run.
    package struct Step: Codable, Sendable, Equatable {
        package var name: String
        /// Messages a second; nil in a closed loop.
        package var askedPerSecond: Double?
        package var perSecond: Double
        package var p50Ms: Double
        package var p99Ms: Double
        /// How late sends were; nil in a closed loop, where none has a time.
        package var lagP99Ms: Double?
        package var serverUsEach: Double
        package var generatorUsEach: Double
        package var othersCores: Double
        package var lost: Int
        /// Whether it met the limit that is searched with; nil: there was none.
        package var passed: Bool?
        package var latency: LatencySummary?
    }

    package struct Facts: Codable, Sendable, Equatable {
        package struct Option: Codable, Sendable, Equatable {
            package var name: String
            package var value: String

            package init(_ name: String, _ value: String) { (self.name, self.value) = (name, value) }
        }

        package var label: String
        package var scenario: String
        /// RFC 3339, UTC.
        package var date: String
        package var version: String
        package var options: [Option]
        package var cores: Int
        package var kernel: String
        package var processor: String
        /// Name and role of each process of the cluster.
        package var processes: [Option]

        package init(
            label: String, scenario: String, date: String, version: String, options: [Option], cores: Int,
            kernel: String, processor: String, processes: [Option]
        ) {
            (self.label, self.scenario, self.date, self.version) = (label, scenario, date, version)
            (self.options, self.cores, self.kernel) = (options, cores, kernel)
            (self.processor, self.processes) = (processor, processes)
        }
    }

    /// Who used the cores while it was measured.
    package struct Cores: Codable, Sendable, Equatable {
        package var seconds: Double
        package var servers: Double
        package var generator: Double
        package var others: Double
        package var stolen: Double
        package var byRole: [Figure]

        package init(_ use: MachineUse) {
            seconds = use.seconds
            servers = use.servers / use.seconds
            generator = use.generator / use.seconds
            others = use.others / use.seconds
            stolen = use.stolen / use.seconds
            byRole = use.byRole.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
                .map { Figure($0.key, $0.value / use.seconds, .cores) }
        }
    }

    package var facts: Facts
    package var figures: [Figure] = []
    package var correctness = Correctness()
    package var latencies: [LatencySummary] = []
    package var steps: [Step] = []
    /// Of the measured window; of a search, its last step's.
    package var cores: Cores?
    /// Events a second, by second of the run.
    package var throughput: [Series] = []
    /// Cores by role, by second of the run.
    package var cpu: [Series] = []
    /// KiB of anonymous memory by process, by second of the run.
    package var memory: [Series] = []
    package var warnings: [String] = []

    package init(facts: Facts) { self.facts = facts }

    /// Adds what the samples of a run say by second.
    package mutating func draw(_ samples: [MachineSample], processes: [ClusterProcesses.Process]) {
        guard samples.count > 1 else { return }
        let roles = Set(processes.map(\.role)).sorted()
        var lines = (roles + ["generator", "others"]).map { Series(name: $0, points: []) }
        for (one, other) in zip(samples, samples.dropFirst()) where other.time - one.time > 0.2 {
            let use = MachineUse(from: one, to: other, processes: processes)
            for (place, role) in roles.enumerated() {
                lines[place].points.append(Point(x: other.time, y: (use.byRole[role] ?? 0) / use.seconds))
            }
            lines[roles.count].points.append(Point(x: other.time, y: use.generator / use.seconds))
            lines[roles.count + 1].points.append(Point(x: other.time, y: use.others / use.seconds))
        }
        // What does next to nothing would only hide the others.
        cpu = lines.filter { $0.points.contains { $0.y >= 0.01 } }
        memory = processes.enumerated().map { place, process in
            Series(
                name: process.name,
                points: samples.map { Point(x: $0.time, y: Double($0.anonymousKiB[place])) })
        }
    }
}
