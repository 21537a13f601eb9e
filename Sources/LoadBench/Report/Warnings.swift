/// What a reader must know before believing a figure.
package enum Warnings {
    /// - Parameters:
    ///   - cores: of the machine.
    ///   - lagP99Ms: how late sends were; nil where nothing was to be sent at a time.
    package static func of(_ use: MachineUse, cores: Int, lagP99Ms: Double?, where step: String = "") -> [String] {
        var warnings: [String] = []
        let generator = use.generator / use.seconds
        let others = use.others / use.seconds
        let stolen = use.stolen / use.seconds
        if generator > 0.6 {
            warnings.append("the generator used \(FigureUnit.cores.text(generator)): it may have set the figure")
        }
        if others > 0.25 * Double(cores) {
            warnings.append(
                "other programs used \(FigureUnit.cores.text(others)) of \(cores): they may have set the figure")
        }
        if stolen > 0.1 * Double(cores) {
            warnings.append("the machine's host withheld \(FigureUnit.cores.text(stolen))")
        }
        if let lagP99Ms, lagP99Ms > 10 {
            warnings.append("sends were late (p99 \(FigureUnit.milliseconds.text(lagP99Ms))): latency includes it")
        }
        return warnings.map { step.isEmpty ? $0 : "\(step): \($0)" }
    }
}
