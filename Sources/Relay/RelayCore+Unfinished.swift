package import Protocol
import RPC
package import RPCTransport

extension RelayCore {
    package func changeGroup(_ request: RelayChangeGroupRequest, context: RPCContext) async throws -> RelayChangeGroupResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    package func block(_ request: RelayBlockRequest, context: RPCContext) async throws -> RelayBlockResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    package func addDevice(_ request: RelayAddDeviceRequest, context: RPCContext) async throws -> RelayAddDeviceResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
}
