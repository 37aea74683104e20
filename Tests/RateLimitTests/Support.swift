import FoundationEssentials
import Glibc
import Synchronization

@testable import RateLimit

/// A clock that stands still until it is moved.
final class ManualClock: Sendable {
    private let instant = Atomic<UInt64>(1_000_000_000_000)
    var now: UInt64 { instant.load(ordering: .relaxed) }
    func advance(_ nanoseconds: UInt64) { instant.add(nanoseconds, ordering: .relaxed) }
}

/// A directory that is removed with the object.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/dbrl-XXXXXX\0".utf8CString)
        path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

func limit(
    _ name: String = "limit", burst: Int = 3, requests: Int = 1, per period: Duration = .seconds(10),
    by partition: Partition = .principal
) -> LimitClass {
    LimitClass(name: name, quota: Quota(burst: burst, requests: requests, per: period)!, partition: partition)!
}

extension LimitClass {
    func charge(_ principal: String) -> Charge { charge(for: Subject(principal: principal, hotel: "1", route: "r"))! }
}

/// What shares a table with others as a process of its own, beside the tests' own program.
var hammerProgram: String {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &path, path.count)
    let own = String(decoding: path[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    return own[...own.lastIndex(of: "/")!] + "ratelimit-hammer"
}
