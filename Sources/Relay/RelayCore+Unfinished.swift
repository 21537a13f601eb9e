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
    package func windows(_ request: RelayWindowsRequest, context: RPCContext) async throws -> RelayWindowsResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    package func lookup(_ request: RelayLookupRequest, context: RPCContext) async throws -> RelayLookupResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    package func contacts(_ request: RelayContactsRequest, context: RPCContext) async throws -> RelayContactsResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    package func follow(_ request: RelayFollowRequest, context: RPCContext) async throws -> RelayFollowResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
}
