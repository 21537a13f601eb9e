#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a process says of itself in its znode `/roost/v1/nodes/<role>/<id>`: readable JSON, keys in snake_case.
///
/// A reader ignores keys that it doesn't know and supplies defaults for those that are missing (all but `id`, `role` and
/// `rpc`), so that two versions can share a cluster.
package struct NodeRecord: Codable, Sendable, Equatable {
    /// Whether a node takes new clients.
    package enum State: String, Codable, Sendable {
        /// It takes new clients.
        case serving
        /// It is being emptied: its clients move away and none is sent to it.
        case draining
    }

    /// The node's name: unique within its role.
    package var id: String
    /// The role that this registration is of, such as `chat`.
    package var role: String
    /// Where it answers RPC: `host:port`.
    package var rpc: String
    /// Its private HTTP address: `host:port`. Empty if it has none.
    package var http: String
    /// What a WebSocket client opens, if clients reach the node otherwise than through the gateway.
    package var url: String?
    /// The failure domain that it is in.
    package var zone: String
    /// The version of Roost that it runs.
    package var version: String
    /// How many connections it takes; 0 where the role has no such limit.
    package var capacity: Int
    /// How many connections it has, when last reported.
    package var connections: Int
    /// How busy it is, 0 to 1: `connections / capacity` unless the role knows better.
    package var load: Double
    /// Whether it takes new clients.
    package var state: State
    /// When its process started, in Unix milliseconds.
    package var startedAt: Int64

    package init(
        id: String, role: String, rpc: String, http: String = "", url: String? = nil, zone: String = "",
        version: String = "", capacity: Int = 0, connections: Int = 0, load: Double = 0, state: State = .serving,
        startedAt: Int64 = 0
    ) {
        self.id = id
        self.role = role
        self.rpc = rpc
        self.http = http
        self.url = url
        self.zone = zone
        self.version = version
        self.capacity = capacity
        self.connections = connections
        self.load = load
        self.state = state
        self.startedAt = startedAt
    }

    private enum CodingKeys: String, CodingKey {
        case id, role, rpc, http, url, zone, version, capacity, connections, load, state
        case startedAt = "started_at"
    }

    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            id: try values.decode(String.self, forKey: .id),
            role: try values.decode(String.self, forKey: .role),
            rpc: try values.decode(String.self, forKey: .rpc),
            http: try values.decodeIfPresent(String.self, forKey: .http) ?? "",
            url: try values.decodeIfPresent(String.self, forKey: .url),
            zone: try values.decodeIfPresent(String.self, forKey: .zone) ?? "",
            version: try values.decodeIfPresent(String.self, forKey: .version) ?? "",
            capacity: try values.decodeIfPresent(Int.self, forKey: .capacity) ?? 0,
            connections: try values.decodeIfPresent(Int.self, forKey: .connections) ?? 0,
            load: try values.decodeIfPresent(Double.self, forKey: .load) ?? 0,
            state: try values.decodeIfPresent(State.self, forKey: .state) ?? .serving,
            startedAt: try values.decodeIfPresent(Int64.self, forKey: .startedAt) ?? 0)
    }

    /// Reads a znode's data. Throws `DecodingError` for what isn't a record.
    package init(json: [UInt8]) throws {
        self = try JSONDecoder().decode(NodeRecord.self, from: Data(json))
    }

    /// The znode's data: one JSON object with its keys in order, so that equal records have equal bytes.
    package func json() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        // Strings, integers and a number: there is nothing in it that can't be encoded.
        return (try? encoder.encode(self)).map(Array.init) ?? []
    }
}
