import ChatModel
package import Hummingbird
package import ServiceKit

/// `search` over REST, below the prefix of the conversations' kind.
package struct SearchRoutes: Sendable {
    private let search: Search

    package init(search: Search) { self.search = search }

    package func add(to router: Router<RoostRequestContext>) {
        router.get(RouterPath(search.kind.prefix + "/search"), use: find)
    }

    private func find(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let page = try Page(request)
        let (hits, next) = try await search.page(
            try SearchQuery(request), for: identity.user.rawValue, limit: page.limit, cursor: page.cursor)
        return try .json(PageResponse(items: hits.map { HitJSON($0) }, next: next))
    }
}

/// A message that was found.
struct HitJSON: Encodable, Sendable {
    private enum CodingKeys: CodingKey {
        case fragment
    }

    var message: MessageJSON
    var fragment: Fragment

    init(_ hit: Search.Hit) {
        message = MessageJSON(hit.message)
        fragment = hit.fragment
    }

    func encode(to encoder: any Encoder) throws {
        try message.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(fragment, forKey: .fragment)
    }
}
