import RPCCodeGen
import SwiftProtobuf
import SwiftProtobufPluginLibrary

/// The protoc plugin: reads descriptors into `RPCCodeGen`'s model and writes out what that generates.
@main
struct RoostPlugin: CodeGenerator {
    var supportedFeatures: [Google_Protobuf_Compiler_CodeGeneratorResponse.Feature] { [.proto3Optional] }
    var supportedEditionRange: ClosedRange<Google_Protobuf_Edition> { .proto2 ... .proto3 }
    var version: String? { "1" }

    func generate(
        files: [FileDescriptor], parameter: any CodeGeneratorParameter,
        protoCompilerContext: any ProtoCompilerContext, generatorOutputs: any GeneratorOutputs
    ) throws {
        for file in files where !file.services.isEmpty {
            let model = try ServiceFile(file)
            try generatorOutputs.add(
                fileName: ServiceGenerator.outputPath(for: model.path), contents: ServiceGenerator.generate(model))
        }
    }
}

extension ServiceFile {
    init(_ file: FileDescriptor) throws {
        let namer = SwiftProtobufNamer()
        self.init(
            path: file.name,
            services: try file.services.map { service in
                ServiceDescription(
                    fullName: service.fullName,
                    swiftName: ServiceFile.swiftName(of: service.name, prefix: file.options.swiftPrefix),
                    comment: service.protoSourceComments(commentPrefix: ""),
                    methods: try service.methods.map { method in
                        guard !method.clientStreaming else {
                            throw GeneratorError("\(service.fullName)/\(method.name): client streams aren't supported")
                        }
                        let level = method.options.idempotencyLevel
                        return MethodDescription(
                            name: method.name,
                            request: namer.fullName(message: method.inputType),
                            response: namer.fullName(message: method.outputType),
                            serverStreaming: method.serverStreaming,
                            idempotent: level == .idempotent || level == .noSideEffects,
                            comment: method.protoSourceComments(commentPrefix: ""))
                    })
            })
    }

    /// A file's prefix comes before the service's name unless they are the same: `Relay`, not `RelayRelay`.
    private static func swiftName(of service: String, prefix: String) -> String {
        service == prefix ? service : prefix + service
    }
}
