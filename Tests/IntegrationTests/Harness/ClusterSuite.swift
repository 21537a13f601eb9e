import Testing

/// Everything that needs a whole cluster: suites extend this one and share a cluster that is started before the first of
/// them and stopped after the last. One test at a time, since some of them kill parts of it.
@Suite(.serialized, .sharedCluster) enum ClusterSuite {}

/// Starts the cluster that a suite shares, once around all that is in it.
struct SharedClusterTrait: SuiteTrait, TestScoping {
    @concurrent func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await TestCluster.with { cluster in
            try await TestCluster.$current.withValue(cluster) { try await function() }
        }
    }
}

extension Trait where Self == SharedClusterTrait {
    static var sharedCluster: Self { SharedClusterTrait() }
}
