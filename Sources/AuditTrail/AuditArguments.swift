/// A command line that says nothing we understand.
public struct AuditUsageError: Error, Equatable, Sendable {
    /// What is wrong with it.
    public let message: String

    init(_ message: String) { self.message = message }
}

/// The words behind `drawbridge audit COMMAND`, taken apart.
struct AuditArguments: Equatable {
    private(set) var operands: [String] = []
    private var values: [String: String] = [:]
    private var flags: Set<String> = []

    /// - Parameters:
    ///   - values: the options that take a value.
    ///   - flags: those that take none.
    ///   - operands: the names of what stands without an option; one in brackets may be left out.
    init(
        _ arguments: some Sequence<String>, values: Set<String>, flags: Set<String> = [], operands names: [String] = []
    ) throws(AuditUsageError) {
        var rest = Array(arguments)[...]
        var areOptionsOver = false
        while let word = rest.popFirst() {
            guard word.hasPrefix("-"), word != "-", !areOptionsOver else {
                operands.append(word)
                continue
            }
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            if word == "--" {
                areOptionsOver = true
            } else if flags.contains(word) {
                self.flags.insert(word)
            } else if values.contains(parts[0]) {
                guard self.values[parts[0]] == nil else { throw AuditUsageError("\(parts[0]) stands twice") }
                guard let value = parts.count == 2 ? parts[1] : rest.popFirst(), !value.isEmpty else {
                    throw AuditUsageError("\(parts[0]) needs a value")
                }
                self.values[parts[0]] = value
            } else {
                throw AuditUsageError("unexpected: \(word)")
            }
        }
        if operands.count > names.count { throw AuditUsageError("unexpected: \(operands[names.count])") }
        if operands.count < names.count, !names[operands.count].hasPrefix("[") {
            throw AuditUsageError("\(names[operands.count]) is missing")
        }
    }

    subscript(option: String) -> String? { values[option] }

    func has(_ flag: String) -> Bool { flags.contains(flag) }

    /// A whole number from the range, or nothing where the option is not given.
    func number(_ option: String, in range: ClosedRange<Int64>) throws(AuditUsageError) -> Int64? {
        guard let text = values[option] else { return nil }
        guard let number = Int64(text), range.contains(number) else {
            throw AuditUsageError(
                "\(option) takes a number from \(range.lowerBound) to \(range.upperBound), not \(text)")
        }
        return number
    }
}
