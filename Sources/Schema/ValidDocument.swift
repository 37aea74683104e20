/// A document that a schema has found valid.
///
/// What is found on the way is kept: which of its texts are *confined*, so that nothing but what they are described to be
/// can be said by them. They are names and values that stand in the description themselves, dates, times, UUIDs, and what
/// a pattern lets through as letters and digits alone. That is a fact about the text that was compared, whatever became
/// of the choice it was compared for. Numbers, `true`, `false` and `null` are confined by being JSON.
public struct ValidDocument: Sendable {
    let document: JSONDocument
    /// By the index of the node.
    let isConfined: [Bool]

    init(_ document: JSONDocument, isConfined: [Bool]) {
        self.document = document
        self.isConfined = isConfined
    }

    /// What of it can say anything: the document without what is confined. Every other text stands under the same names
    /// and in the same place as before, letter for letter; a member that is not described stands there whole. `{}` where
    /// nothing is left.
    public var freeText: [UInt8] {
        var writer = FreeTextWriter(self)
        return writer.add(0) ? writer.text : Array("{}".utf8)
    }
}

/// Why a document is not valid.
public struct InvalidDocument: Error, Hashable, Sendable {
    /// What is wrong with it: at least one violation, and ``Schema/maximumViolations`` at most.
    public let violations: [Violation]
}

/// Writes what is free in a document.
private struct FreeTextWriter {
    private let valid: ValidDocument
    private(set) var text: [UInt8] = []

    private var nodes: [JSONDocument.Node] { valid.document.nodes }

    init(_ valid: ValidDocument) { self.valid = valid }

    /// Adds what is free in a value, or all of it.
    ///
    /// - Returns: whether that was anything; otherwise the text is what it was.
    mutating func add(_ node: Int, whole: Bool = false) -> Bool {
        switch nodes[node].kind {
        case .null, .no, .yes, .integer, .number:
            if whole { text += valid.document.bytes[nodes[node].range] }
            return whole
        case .string:
            guard whole || !valid.isConfined[node] else { return false }
            addString(node)
            return true
        case .array: return addElements(of: node, whole: whole)
        case .object: return addMembers(of: node, whole: whole)
        }
    }

    private mutating func addElements(of array: Int, whole: Bool) -> Bool {
        let length = text.count
        var isAnything = whole
        text.append(UInt8(ascii: "["))
        for (position, element) in valid.document.elements(of: array).enumerated() {
            if position > 0 { text.append(UInt8(ascii: ",")) }
            if add(element, whole: whole) {
                isAnything = true
            } else {
                // The others keep their places, whether a reader counts values or containers.
                let isContainer = nodes[element].kind == .array || nodes[element].kind == .object
                text += (isContainer ? "{}" : "null").utf8
            }
        }
        text.append(UInt8(ascii: "]"))
        if !isAnything { text.removeSubrange(length...) }
        return isAnything
    }

    private mutating func addMembers(of object: Int, whole: Bool) -> Bool {
        let length = text.count
        var isAnything = whole
        var count = 0
        text.append(UInt8(ascii: "{"))
        var name = object + 1
        for _ in 0..<nodes[object].count {
            let before = text.count
            if count > 0 { text.append(UInt8(ascii: ",")) }
            addString(name)
            text.append(UInt8(ascii: ":"))
            if add(name + 1, whole: whole || !valid.isConfined[name]) {
                count += 1
                isAnything = true
            } else {
                text.removeSubrange(before...)
            }
            name = Int(nodes[name + 1].next)
        }
        text.append(UInt8(ascii: "}"))
        if !isAnything { text.removeSubrange(length...) }
        return isAnything
    }

    /// As it stood, what is escaped in it included.
    private mutating func addString(_ node: Int) {
        text.append(UInt8(ascii: "\""))
        text += valid.document.bytes[nodes[node].range]
        text.append(UInt8(ascii: "\""))
    }
}
