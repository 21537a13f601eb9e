import NIOConcurrencyHelpers
import NIOCore
import Protocol
import SwiftProtobuf
import Testing
import WebSocketEdge

@testable import ChatNode

/// swift-log has a type of that name too.
typealias StoredEvent = LogEvent

private func wait(
    sourceLocation: SourceLocation = #_sourceLocation, _ condition: () -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while !condition(), ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(5)) }
    try #require(condition(), sourceLocation: sourceLocation)
}

@Suite(.timeLimit(.minutes(2))) struct NodeTests {
    @Test(arguments: [1, 3]) func messagesReachEveryDeviceInOrder(_ loops: Int) async throws {
        try await TestNode.with(loops: loops) { node in
            let alice = try await TestClient.connect(node, user: 1, device: 11)
            let phone = try await TestClient.connect(node, user: 1, device: 12, protobuf: true)
            let bob = try await TestClient.connect(node, user: 2, device: 21)
            for client in [alice, phone, bob] { client.hello() }
            try await wait { [alice, phone, bob].allSatisfy(\.isSynced) }
            #expect(alice.welcome?.resumed == true)
            #expect(alice.welcome?.heartbeatS == 25)
            #expect(alice.welcome?.user == "1" && alice.welcome?.device == "11" && alice.welcome?.node == "chat-1")
            for number in 1...40 { alice.say(number % 7 == 0 ? "slow \(number)" : "\(number)", ref: "r\(number)") }
            try await wait { [alice, phone, bob].allSatisfy { $0.events.count == 40 } && alice.acks.count == 40 }
            #expect(alice.acks.map(\.ref) == (1...40).map { "r\($0)" })
            #expect(alice.acks.map(\.seq) == Array(1...40))
            for client in [alice, phone, bob] { #expect(client.events.map(\.seq) == Array(1...40)) }
            #expect(phone.events.first?.clientID == "r1")
            #expect(bob.events.first?.clientID == "")
            alice.say("again", ref: "again", clientID: "r1")
            try await wait { alice.acks.count == 41 }
            #expect(alice.acks.last?.duplicate == true && alice.acks.last?.seq == 1)
            #expect(await node.node.metrics().chat.sends == 41)
        }
    }

    @Test func whatWasMissedComesFirstAndAcknowledgedNotAgain() async throws {
        try await TestNode.with { node in
            for number in 1...200 { _ = node.services.append(sender: 9, text: "\(number)", clientID: "\(number)") }
            let first = try await TestClient.connect(node, user: 1, device: 11)
            first.hello()
            try await wait { first.isSynced }
            #expect(first.events.map(\.seq) == Array(1...200))
            first.send(.received(.with { $0.cursors = ["1": 150, "77": 5] }))
            first.send(
                .read(
                    .with {
                        $0.conversation = "1"; $0.seq = 9999
                    }))
            try await wait { node.services.state.withLockedValue { $0.acknowledged[11]?.delivered } == 200 }
            #expect(node.services.state.withLockedValue { $0.acknowledged[11]?.read } == 200)
            let again = try await TestClient.connect(node, user: 1, device: 11)
            again.hello()
            try await wait { again.isSynced }
            #expect(again.events.isEmpty)
            let ahead = try await TestClient.connect(node, user: 1, device: 12)
            ahead.hello(cursors: ["1": 5000, "x": 1, "4": 3])
            try await wait { ahead.isSynced }
            _ = node.services.append(sender: 9, text: "live", clientID: "live")
            try await wait { ahead.events.map(\.seq) == [201] }
        }
    }

    @Test func aLostPushIsReadFromTheLog() async throws {
        try await TestNode.with { node in
            let client = try await TestClient.connect(node, user: 1, device: 11)
            client.hello()
            try await wait { client.isSynced }
            node.services.state.withLockedValue { $0.losesPushes = true }
            for number in 1...5 { _ = node.services.append(sender: 9, text: "", clientID: "\(number)") }
            node.services.state.withLockedValue { $0.losesPushes = false }
            _ = node.services.append(sender: 9, text: "", clientID: "6")
            try await wait { client.events.count == 6 }
            #expect(client.events.map(\.seq) == Array(1...6))
            #expect(await node.node.metrics().chat.gaps == 1)
        }
    }

    @Test func whenServicesAreAwayClientsAreToldAndItHeals() async throws {
        try await TestNode.with { node in
            let client = try await TestClient.connect(node, user: 1, device: 11)
            client.hello()
            try await wait { client.isSynced }
            node.services.state.withLockedValue { $0.isAway = true }
            client.say("x", ref: "1")
            client.say("y", ref: "2", conversation: "7")
            try await wait { client.errors.count == 2 }
            #expect(client.errors.allSatisfy { $0.code == "unavailable" && $0.retryAfterMs > 0 })
            node.services.state.withLockedValue { $0.isAway = false }
            client.say("x", ref: "3", clientID: "1")
            client.say("y", ref: "4", conversation: "7")
            try await wait { client.acks.count == 1 && client.errors.count == 3 }
            #expect(client.errors.last?.code == "forbidden" && client.errors.last?.ref == "4")
        }
    }

    @Test func framesAreAnsweredAsTheContractSays() async throws {
        try await TestNode.with { node in
            let client = try await TestClient.connect(node, user: 1, device: 11)
            client.hello()
            try await wait { client.isSynced }
            client.send(text: #"{"type":"send","ref":"a","conversation":"1","client_id":"c","body":{}}"#)
            client.send(text: #"{"type":"edit","ref":"b","conversation":"1","message":"1-1","body":{"text":"t"}}"#)
            client.send(text: #"{"type":"react","ref":"c","conversation":"1","message":"2-1","emoji":"x"}"#)
            client.send(text: #"{"type":"ping","ref":"p"}"#)
            try await wait { client.frames.contains { $0.pong.ref == "p" } }
            try await wait { client.errors.count == 3 }
            // What is answered by a service comes when it comes.
            #expect(client.errors.map(\.ref).sorted() == ["a", "b", "c"])
            #expect(client.errors.filter { $0.code == "invalid" }.map(\.ref) == ["a", "c"])
            #expect(client.errors.first { $0.ref == "b" }?.code == "not_found")
            #expect(client.errors[0].message.contains("body.text"))
            client.send(text: "{")
            client.send(text: #"{"type":"hello"}"#)
            #expect(client.closeCode == nil)
            client.send(text: #"{"type":"?"}"#)
            try await wait { client.closeCode == 4400 }
            #expect(client.errors.count == 6)
        }
    }

    @Test func whatAmendsAMessageIsAnEventAfterIt() async throws {
        try await TestNode.with { node in
            let alice = try await TestClient.connect(node, user: 1, device: 11)
            let bob = try await TestClient.connect(node, user: 2, device: 21, protobuf: true)
            alice.hello()
            bob.hello()
            try await wait { alice.isSynced && bob.isSynced }
            alice.say("slow", ref: "1")
            alice.send(text: #"{"type":"edit","ref":"2","conversation":"1","message":"1-1","body":{"text":"t"}}"#)
            alice.send(text: #"{"type":"react","ref":"3","conversation":"1","message":"1-1","emoji":"👍"}"#)
            alice.send(
                text: #"{"type":"react","ref":"4","conversation":"1","message":"1-1","emoji":"👍","remove":true}"#)
            alice.send(text: #"{"type":"delete","ref":"5","conversation":"1","message":"1-1"}"#)
            alice.send(text: #"{"type":"delete","ref":"6","conversation":"4","message":"4-1"}"#)
            try await wait { alice.acks.count == 5 && bob.events.count == 5 && alice.errors.count == 1 }
            #expect(alice.acks.map(\.ref) == ["1", "2", "3", "4", "5"])
            #expect(alice.errors.map(\.ref) == ["6"] && alice.errors[0].code == "not_found")
            #expect(bob.events.map(\.kind) == ["message", "edit", "reaction", "reaction", "delete"])
            #expect(bob.events.dropFirst().allSatisfy { $0.message == "1-1" })
            #expect(bob.events[1].body.text == "t" && bob.events[2].emoji == "👍" && bob.events[3].removed)
            // Which service is asked is told by the conversation; a message goes to the relay.
            #expect(node.services.state.withLockedValue { [$0.groupCalls, $0.directCalls] } == [4, 1])
        }
    }

    @Test func onlyAPairsFirstMessageAsksWhereItGoes() async throws {
        try await TestNode.with { node in
            let alice = try await TestClient.connect(node, user: 1, device: 11)
            let bob = try await TestClient.connect(node, user: 2, device: 21)
            alice.hello()
            bob.hello()
            try await wait { alice.isSynced && bob.isSynced }
            for index in 1...3 {
                alice.send(
                    text: #"{"type":"send","ref":"\#(index)","to":"2","client_id":"c\#(index)","body":{"text":"t"}}"#)
                try await wait { alice.acks.count == index }
            }
            try await wait { bob.events.count == 3 && alice.events.count == 3 }
            #expect(alice.acks.map(\.seq) == [1, 2, 3])
            #expect(node.services.state.withLockedValue { $0.directCalls } == 1)
        }
    }

    @Test func aGroupOfAThousandIsWrittenToFromOneBuffer() async throws {
        try await TestNode.with {
            $0.limits = nil
        } _: { node in
            let sender = try await TestClient.connect(node, user: 1, device: 1)
            let second = try await TestClient.connect(node, user: 1, device: 2)
            var receivers: [TestClient] = []
            for number in 10..<1008 {
                receivers.append(try await TestClient.connect(node, user: number, device: number))
            }
            let all = [sender, second] + receivers
            for client in all { client.hello() }
            try await wait { all.allSatisfy(\.isSynced) }
            for number in 1...20 { sender.say("message \(number)", ref: "\(number)") }
            try await wait { all.allSatisfy { $0.events.count == 20 } }
            for client in all { #expect(client.events.map(\.seq) == Array(1...20)) }
            #expect([sender, second].allSatisfy { $0.events.map(\.clientID) == (1...20).map(String.init) })
            #expect(receivers.allSatisfy { $0.events.allSatisfy(\.clientID.isEmpty) })
            let metrics = await node.node.metrics().chat
            #expect(metrics.pushed == 20_000 && metrics.gaps == 0)
        }
    }

    @Test func anEventIsEncodedOnceForEachKindOfReceiver() {
        let event = EncodedEvent(
            .with {
                $0.kind = .message
                $0.clientID = "mine"
            })
        var encoder = FrameEncoder()
        func place(_ buffer: ByteBuffer) -> UnsafeRawPointer? { buffer.withUnsafeReadableBytes { $0.baseAddress } }
        var places: Set<UnsafeRawPointer?> = []
        for _ in 0..<1000 {
            for isOwn in [false, true] {
                places.insert(place(event.frame(.json, isOwn: isOwn, &encoder)))
                places.insert(place(event.frame(.protobuf, isOwn: isOwn, &encoder)))
            }
        }
        #expect(places.count == 4)
    }

    @Test func whatTheUserDidElsewhereReachesTheirDevices() async throws {
        try await TestNode.with { node in
            let client = try await TestClient.connect(node, user: 1, device: 11)
            client.hello()
            try await wait { client.isSynced }
            var request = ChatDeliverRequest()
            request.incarnation = node.node.incarnation
            for until in [1_795_168_800_000, 0] as [Int64] {
                var mute = ChatMute()
                mute.conversation = 6
                mute.untilMs = until
                mute.handles = node.services.state.withLockedValue { Array($0.roster.keys) }
                request.mutes.append(mute)
            }
            var receipt = ChatReceipt()
            receipt.conversation = 7
            receipt.user = 1
            receipt.read = 12
            receipt.handles = node.services.state.withLockedValue { Array($0.roster.keys) }
            request.receipts = [receipt]
            node.node.deliver(request)
            func mutes() -> [ClientMuted] {
                client.frames.compactMap { if case .muted(let value) = $0.frame { value } else { nil } }
            }
            try await wait { mutes().count == 2 }
            #expect(mutes()[0].conversation == "6" && mutes()[0].untilMs == 1_795_168_800_000)
            #expect(!mutes()[1].hasUntilMs)
            #expect(
                client.frames.contains {
                    $0.receipt.conversation == "7" && $0.receipt.user == "1" && $0.receipt.read == 12
                })
        }
    }

    @Test func helloMustComeFirstAndInTime() async throws {
        try await TestNode.with {
            $0.helloTimeout = .milliseconds(300)
        } _: { node in
            let silent = try await TestClient.connect(node, user: 1, device: 11)
            let early = try await TestClient.connect(node, user: 1, device: 12)
            early.send(text: #"{"type":"ping"}"#)
            try await wait { silent.closeCode == 4408 && early.closeCode == 4408 }
            #expect(early.errors.count == 1)
        }
    }

    @Test func floodingEnds() async throws {
        try await TestNode.with {
            $0.limits?.connection.unitsPerSecond = 10
            $0.limits?.connection.unitBurst = 50
            $0.limits?.refusals = 20
        } _: { node in
            let client = try await TestClient.connect(node, user: 1, device: 11)
            client.hello()
            try await wait { client.isSynced }
            for _ in 0..<100 { client.send(text: #"{"type":"ping"}"#) }
            try await wait { client.closeCode == 4429 }
            #expect(client.errors.allSatisfy { $0.code == "rate_limited" && $0.retryAfterMs > 0 })
        }
    }

    @Test func aFloodOfOneUsersDevicesIsNotFeltByOthers() async throws {
        try await TestNode.with {
            $0.limits?.user.unitsPerSecond = 10
            $0.limits?.user.unitBurst = 200
            $0.limits?.refusals = .max
        } _: { node in
            var devices: [TestClient] = []
            for device in 11...14 { devices.append(try await TestClient.connect(node, user: 1, device: device)) }
            let other = try await TestClient.connect(node, user: 2, device: 21)
            for client in devices + [other] { client.hello() }
            try await wait { (devices + [other]).allSatisfy(\.isSynced) }
            for number in 1...400 {
                for (index, device) in devices.enumerated() { device.say("x", ref: "\(index)-\(number)") }
            }
            other.say("mine", ref: "mine")
            try await wait { other.acks.count == 1 }
            // Of 1600 frames some 16 came before it (200 units, less four hellos), whichever device sent them.
            let before = try #require(other.acks.first).seq - 1
            #expect(before <= 20)
            try await wait { devices.allSatisfy { $0.acks.count + $0.errors.count == 400 } }
            #expect(devices.flatMap(\.errors).allSatisfy { $0.code == "rate_limited" && $0.retryAfterMs > 0 })
            #expect(devices.flatMap(\.acks).count <= 20)
            #expect(devices.allSatisfy { $0.closeCode == nil } && other.errors.isEmpty)
        }
    }

    @Test func aUserHasSoManyConnectionsAndNoMore() async throws {
        try await TestNode.with {
            $0.limits?.connectionsPerUser = 2
        } _: { node in
            var clients: [TestClient] = []
            for device in 11...13 {
                let client = try await TestClient.connect(node, user: 1, device: device)
                client.hello()
                clients.append(client)
                try await wait { client.isSynced || client.closeCode != nil }
            }
            #expect(clients.map(\.closeCode) == [nil, nil, 4429])
            #expect(clients[2].errors.map(\.code) == ["rate_limited"])
            let other = try await TestClient.connect(node, user: 2, device: 21)
            other.hello()
            try await wait { other.isSynced }
            clients[0].cut()
            try await wait { node.node.connections == 2 }
            let again = try await TestClient.connect(node, user: 1, device: 13)
            again.hello()
            try await wait { again.isSynced }
        }
    }

    @Test func presenceIsToldAndFollowed() async throws {
        try await TestNode.with { node in
            let client = try await TestClient.connect(node, user: 1, device: 11)
            client.hello()
            try await wait { client.isSynced }
            client.send(.watch(.with { $0.users = ["1", "2", "99"] }))
            func presences() -> [ClientPresence] {
                client.frames.compactMap { if case .presence(let value) = $0.frame { value } else { nil } }
            }
            try await wait { presences().count >= 3 }
            #expect(presences().first { $0.user == "1" }?.online == true)
            #expect(presences().first { $0.user == "2" }?.online == false)
            #expect(presences().first { $0.user == "99" }?.hasOnline == false)
            try await wait { !node.services.state.withLockedValue(\.presences).isEmpty }
            var page = LastSeenFollowPage()
            for user in [2, 99, 5] as [UInt64] {
                var presence = LastSeenPresence()
                presence.user = user
                presence.online = true
                page.presences.append(presence)
            }
            for continuation in node.services.state.withLockedValue(\.presences) { continuation.yield(page) }
            try await wait { presences().contains { $0.user == "2" && $0.online } }
            #expect(!presences().contains { $0.user == "5" || $0.user == "99" && $0.online })

            // Whose privacy has changed is asked for again, for each who watches.
            node.services.state.withLockedValue { $0.hidden = [2] }
            var changed = LastSeenFollowPage()
            changed.privacy = [2, 99]
            for continuation in node.services.state.withLockedValue(\.presences) { continuation.yield(changed) }
            try await wait { presences().last { $0.user == "99" }?.hasOnline == true }
            try await wait { presences().last { $0.user == "2" }?.hasOnline == false }
        }
    }

    @Test func sessionsCanBeClosed() async throws {
        try await TestNode.with { node in
            let first = try await TestClient.connect(node, user: 1, device: 11)
            let second = try await TestClient.connect(node, user: 1, device: 12)
            first.hello()
            second.hello()
            try await wait { first.isSynced && second.isSynced }
            var request = ChatCloseRequest()
            request.device = 11
            request.code = 4401
            #expect(await node.node.close(request) == 1)
            try await wait { first.closeCode == 4401 }
            #expect(second.closeCode == nil)
        }
    }

    @Test func shutdownSaysGoodbyeAndKeepsWhatWasAcknowledged() async throws {
        var client: TestClient?
        var services: FakeServices?
        try await TestNode.with {
            $0.acknowledgementDelay = .seconds(60)
        } _: { node in
            let connected = try await TestClient.connect(node, user: 1, device: 11)
            _ = node.services.append(sender: 9, text: "", clientID: "1")
            connected.hello()
            try await wait { connected.isSynced }
            connected.send(.received(.with { $0.cursors = ["1": 1] }))
            connected.send(.ping(.init()))
            try await wait { connected.frames.contains { if case .pong = $0.frame { true } else { false } } }
            (client, services) = (connected, node.services)
        }
        let gone = try #require(client)
        try await wait { gone.closeCode == 1001 }
        #expect(gone.frames.contains { $0.goaway.reason == "shutdown" })
        #expect(services?.state.withLockedValue { $0.acknowledged[11]?.delivered } == 1)
    }
}
