/// The text of one SQL statement, with parameters `$1`, `$2`…
///
/// A connection prepares it when it first uses it. So that the server keeps few of them, the text should be constant:
/// values go into parameters, lists into arrays (`= any($1)`, `unnest($1::int8[])`).
package struct Statement: ExpressibleByStringLiteral, ExpressibleByStringInterpolation, Hashable, Sendable,
    CustomStringConvertible
{
    package let sql: String

    package init(_ sql: String) { self.sql = sql }
    package init(stringLiteral value: String) { sql = value }

    package var description: String { sql }

    /// For errors and logs: the beginning, on one line.
    package var summary: String {
        let words = sql.prefix(400).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return words.count > 120 ? words.prefix(119) + "…" : words
    }
}
