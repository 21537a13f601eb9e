/// Brings a schema to its newest state from numbered SQL files: `<directory>/<schema>/0001_name.sql`…
package struct Migrations: Sendable {
    package let directory: String

    /// - Parameter directory: the folder that has one folder a schema.
    package init(directory: String) { self.directory = directory }

    package func apply(schema: String, using pool: PostgresPool) async throws {}
}
