import Kernels

// InstructionCounts          lists the kernels: a name and how many operations to count, a line each
// InstructionCounts NAME N   prepares a kernel and does N of its operations
//
// `infra/scripts/instructions.sh` runs it under valgrind.

let arguments = CommandLine.arguments.dropFirst()
if arguments.isEmpty {
    for kernel in Kernel.all { print(kernel.name, kernel.operations) }
} else {
    guard arguments.count == 2, let count = Int(arguments[2]), count > 0,
        let kernel = Kernel.all.first(where: { $0.name == arguments[1] })
    else { fatalError("usage: InstructionCounts [NAME N]") }
    print(try kernel.prepare()(count))
}
