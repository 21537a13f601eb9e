/// What an operator can say about messages. Read from the environment by `RoostConfiguration`, which documents the keys.
package struct MessagesConfiguration: Sendable {
    /// How old a message may be that its author still edits; zero: any age.
    package var editWithin: Duration = .zero
    /// The text search configuration of PostgreSQL by which messages are indexed and found.
    package var searchLanguage = "english"

    package init() {}
}
