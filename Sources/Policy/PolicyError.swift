/// Every mistake found in the policy files, at once. While there is one, the policy is not in force.
public struct PolicyError: Error, Sendable, CustomStringConvertible {
    /// The mistakes in the order of the file.
    public let mistakes: [Mistake]

    /// Wraps mistakes found.
    public init(_ mistakes: [Mistake]) { self.mistakes = mistakes }

    /// One line per mistake.
    public var description: String { mistakes.map(\.description).joined(separator: "\n") }
}

/// One mistake in a policy file: where it is, what stands there and what should.
public struct Mistake: Sendable, Equatable, CustomStringConvertible {
    /// The file as it was named on loading.
    public let file: String
    /// The line, from 1; 0 where the file as a whole is meant.
    public let line: Int
    /// The column, from 1.
    public let column: Int
    /// The path of keys from the top, such as `listeners[0].tls.certificate`.
    public let key: String
    /// What stands there.
    public let found: String
    /// What was expected instead.
    public let expected: String

    /// The form compilers use for their messages, which editors can jump to.
    public var description: String {
        let place = line > 0 ? "\(file):\(line):\(column)" : file
        let subject = key.isEmpty ? "" : "\(key): "
        return "\(place): \(subject)found \(found), expected \(expected)"
    }

    /// The same mistake in the file of this name in another directory.
    func moved(to directory: String) -> Mistake {
        let name = file.split(separator: "/").last ?? ""
        return Mistake(
            file: "\(directory)/\(name)", line: line, column: column, key: key, found: found, expected: expected)
    }
}

/// Collects the mistakes of one file.
final class MistakeLog {
    let file: String
    private(set) var mistakes: [Mistake] = []

    init(file: String) { self.file = file }

    func record(at mark: Mark, key: String, found: String, expected: String) {
        mistakes.append(
            Mistake(
                file: file, line: mark.line, column: mark.column, key: key,
                found: found.isEmpty ? "an empty text" : found, expected: expected))
    }

    /// The same, unless it was recorded before: what several places refer to is looked at from each.
    func recordOnce(at mark: Mark, key: String, found: String, expected: String) {
        let isKnown = mistakes.contains {
            $0.line == mark.line && $0.column == mark.column && $0.key == key && $0.expected == expected
        }
        if !isKnown { record(at: mark, key: key, found: found, expected: expected) }
    }

    /// Throws what has been collected, in the order of the file.
    func throwIfAny() throws(PolicyError) {
        guard mistakes.isEmpty else {
            throw PolicyError(mistakes.sorted { ($0.line, $0.column) < ($1.line, $1.column) })
        }
    }
}
