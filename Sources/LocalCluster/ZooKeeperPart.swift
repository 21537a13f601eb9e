import Foundation
import Glibc

/// A private ZooKeeper: one server, on loopback.
enum ZooKeeperPart {
    static func definition(data: DataDirectory, programs: Programs, port: Int) -> PartDefinition {
        let directory = data.state(of: "zookeeper")
        let address = "127.0.0.1:\(port)"
        return PartDefinition(
            name: "zookeeper", role: "zookeeper",
            command: [
                programs.java, "-Xms16m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss256k",
                "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true",
                "-cp", "\(directory)/conf:\(programs.zookeeperClassPath)",
                "org.apache.zookeeper.server.quorum.QuorumPeerMain", "\(directory)/conf/zoo.cfg",
            ],
            directory: directory, stopSignal: SIGTERM, stopPatience: .seconds(5),
            probe: .zookeeper(address: address), http: address,
            prepare: { try prepare(directory, port: port) })
    }

    private static func prepare(_ directory: String, port: Int) throws {
        try FileManager.default.createDirectory(atPath: "\(directory)/conf", withIntermediateDirectories: true)
        try AtomicFile.write(Data(configuration(directory, port: port).utf8), to: "\(directory)/conf/zoo.cfg")
        // The old and the new logging library each look for a file of their own.
        try AtomicFile.write(Data(log4j.utf8), to: "\(directory)/conf/log4j.properties")
        try AtomicFile.write(Data(logback.utf8), to: "\(directory)/conf/logback.xml")
    }

    /// Ticks of half a second, so that sessions of one second are possible: a dead node is noticed in little more.
    static func configuration(_ directory: String, port: Int) -> String {
        """
        dataDir=\(directory)/data
        clientPortAddress=127.0.0.1
        clientPort=\(port)
        tickTime=500
        minSessionTimeout=1000
        maxSessionTimeout=60000
        maxClientCnxns=0
        admin.enableServer=false
        4lw.commands.whitelist=ruok,srvr,mntr
        autopurge.snapRetainCount=3
        autopurge.purgeInterval=1

        """
    }

    private static let log4j = """
        log4j.rootLogger=WARN, console
        log4j.appender.console=org.apache.log4j.ConsoleAppender
        log4j.appender.console.layout=org.apache.log4j.PatternLayout
        log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n

        """

    private static let logback = """
        <configuration>
          <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
            <encoder><pattern>%d{ISO8601} %p %logger{0}: %m%n</pattern></encoder>
          </appender>
          <root level="WARN"><appender-ref ref="console"/></root>
        </configuration>

        """
}
