import Foundation
import Groups
import Testing

@Suite struct PermissionsTests {
    /// The table of `Sources/Groups/README.md` is what the code does, cell by cell.
    @Test func theWrittenTableHolds() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        let text = try String(contentsOfFile: root + "/Sources/Groups/README.md", encoding: .utf8)
        let rows = text.split(separator: "\n").filter { $0.hasPrefix("|") }.map { line in
            line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        let header = try #require(rows.first)
        #expect(header == ["action", "stranger", "member", "admin", "owner"])
        let columns: [GroupRole?] = [nil, .member, .admin, .owner]
        let table = rows.dropFirst(2)
        #expect(table.map { $0[0] } == GroupAction.all.map(Self.words))
        for (row, action) in zip(table, GroupAction.all) {
            for (cell, role) in zip(row.dropFirst(), columns) {
                #expect(
                    cell == (GroupPermissions.allow(action, by: role) ? "yes" : "no"),
                    "\(action) by \(role?.name ?? "stranger")")
            }
        }
    }

    private static func words(_ action: GroupAction) -> String {
        switch action {
        case .see(isPublic: true): "see a public group"
        case .see(isPublic: false): "see a private group, and the members of any"
        case .join(isPublic: true): "join a public group"
        case .join(isPublic: false): "join a private group (without an invite)"
        case .describe: "change name, description, picture"
        case .changeVisibility: "change visibility"
        case .add(as: let role): "add \(words(role))"
        case .changeRole: "change another's role"
        case .lowerOwnRole: "lower one's own role"
        case .remove(let role): "remove \(words(role))"
        case .ban(let role): "ban \(words(role))"
        case .unban: "see and lift bans"
        case .invite: "make, see and revoke invites"
        case .leave: "leave"
        case .delete: "delete the group"
        }
    }

    private static func words(_ role: GroupRole?) -> String {
        switch role {
        case nil: "a stranger"
        case .member: "a member"
        case .admin: "an admin"
        case .owner: "an owner"
        }
    }

    /// A higher role may do all that a lower one may.
    @Test func rolesAreOrdered() {
        for action in GroupAction.all {
            let allowed = GroupRole.allCases.map { GroupPermissions.allow(action, by: $0) }
            #expect(allowed == allowed.sorted { !$0 && $1 }, "\(action)")
        }
    }
}
