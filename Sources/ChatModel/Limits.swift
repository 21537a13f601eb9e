/// The sizes that the contract states. One place, so that REST, WebSocket and the rules agree.
package enum Limits {
    /// UTF-8 bytes of a message's text.
    package static let textBytes = 16 * 1024
    /// Bytes of a WebSocket frame's payload, either direction.
    package static let frameBytes = 64 * 1024
    /// UTF-8 bytes of a `client_id` and of a `ref`.
    package static let clientIDBytes = 64
    /// UTF-8 bytes of a reaction's emoji: the longest of Unicode 16 has 35.
    package static let emojiBytes = 64
    /// Different emojis that one user can have put to one message, those taken back included.
    package static let reactionsPerUser = 20
    package static let attachments = 16
    package static let mentions = 100
    /// Users that one connection may watch, and ids in one presence query.
    package static let watchedUsers = 500
    /// Items of a list's page.
    package static let pageItems = 1...100
    package static let pageItemsDefault = 50
    package static let usernameCharacters = 3...32
    package static let passwordCharacters = 8...256
    package static let displayNameCharacters = 1...64
    package static let aboutCharacters = 0...500
    /// Members of a group.
    package static let groupMembers = 10_000
    package static let groupNameCharacters = 1...64
    package static let groupAboutCharacters = 0...500
    /// Invites of a group that are good at a time.
    package static let groupInvites = 100
    /// How long an invite can be good, and how often.
    package static let inviteSeconds: ClosedRange<Int64> = 1...31_536_000
    package static let inviteUses: ClosedRange<Int64> = 1...100_000
}
