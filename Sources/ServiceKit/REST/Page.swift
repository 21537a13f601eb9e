import ChatModel
package import Hummingbird

/// Which part of a list a client asks for: `limit` (1...100, default 50) and `cursor`.
package struct Page: Sendable, Equatable {
    package var limit: Int
    /// What the page before said under `next`; opaque to clients, checked by whoever made it.
    package var cursor: String?

    package init(limit: Int = Limits.pageItemsDefault, cursor: String? = nil) {
        self.limit = limit
        self.cursor = cursor
    }

    /// - Throws: `invalid` naming `limit` when that is not a number in range.
    package init(_ request: Request) throws(Problem) {
        self.init()
        if let text = request.uri.queryParameters["limit"] {
            guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = Int(text),
                Limits.pageItems.contains(value)
            else {
                throw .field(
                    "limit",
                    "must be a number from \(Limits.pageItems.lowerBound) to \(Limits.pageItems.upperBound)")
            }
            limit = value
        }
        cursor = request.uri.queryParameters["cursor"].map(String.init)
    }
}

/// A list's page as clients get it: `{"items": […], "next": cursor | null}`.
package struct PageResponse<Item: Encodable & Sendable>: ResponseEncodable, Sendable {
    package var items: [Item]
    package var next: String?

    package init(items: [Item], next: String? = nil) {
        self.items = items
        self.next = next
    }

    private enum CodingKeys: CodingKey {
        case items, next
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
        try container.encode(next, forKey: .next)
    }
}
