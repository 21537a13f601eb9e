import Testing

@testable import LocalCluster

@Suite(.timeLimit(.minutes(1))) struct WatchedTests {
    @Test func wakesThoseWhoseConditionIsMet() async {
        let value = Watched(0)
        await withTaskGroup(of: Int.self) { group in
            for wanted in 1...5 {
                group.addTask {
                    #expect(await value.wait { $0 >= wanted })
                    return wanted
                }
            }
            var woken: [Int] = []
            for step in 1...5 {
                value.update { $0 = step }
                if let who = await group.next() { woken.append(who) }
            }
            #expect(woken == [1, 2, 3, 4, 5])
        }
    }

    @Test func givesUpWhenPatienceEnds() async {
        let value = Watched(false)
        #expect(await !value.wait(for: .milliseconds(20)) { $0 })
        value.update { $0 = true }
        #expect(await value.wait(for: .milliseconds(20)) { $0 })
    }

    @Test func cancellationEndsTheWait() async {
        let value = Watched(false)
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { await value.wait { $0 } }
            group.cancelAll()
            #expect(await group.next() == false)
        }
    }
}
