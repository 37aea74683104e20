/// When JSON Schema calls two values equal (2020-12 core §4.2.2): numbers by what they amount to, objects whatever the
/// order of their members.
enum JSONEquality {
    static func isEqual(_ constant: Constant, _ document: JSONDocument, _ node: Int) -> Bool {
        isEqual(constant.document, 0, document, node)
    }

    /// Whether no two values are equal. Takes time in proportion to their text.
    static func areDistinct(_ nodes: [Int], in document: JSONDocument) -> Bool {
        var seen: Set<Form> = []
        for node in nodes where !seen.insert(Form(document, node)).inserted { return false }
        return true
    }

    private static func isEqual(_ left: JSONDocument, _ leftNode: Int, _ right: JSONDocument, _ rightNode: Int) -> Bool
    {
        switch (left.nodes[leftNode].kind, right.nodes[rightNode].kind) {
        case (.string, .string): left.text(leftNode).elementsEqual(right.text(rightNode))
        case (.null, .null), (.yes, .yes), (.no, .no): true
        case (.integer, .integer), (.integer, .number), (.number, .integer), (.number, .number), (.array, .array),
            (.object, .object):
            Form(left, leftNode) == Form(right, rightNode)
        default: false
        }
    }

    /// A value in a form in which equal ones are the same.
    private indirect enum Form: Hashable {
        case null
        case bool(Bool)
        case number(DecimalNumber)
        case string([UInt8])
        case array([Form])
        case object([[UInt8]: Form])

        init(_ document: JSONDocument, _ node: Int) {
            switch document.nodes[node].kind {
            case .null: self = .null
            case .yes: self = .bool(true)
            case .no: self = .bool(false)
            case .integer, .number: self = .number(DecimalNumber(document.bytes[document.nodes[node].range]))
            case .string: self = .string(Array(document.text(node)))
            case .array: self = .array(document.elements(of: node).map { Form(document, $0) })
            case .object:
                var members: [[UInt8]: Form] = [:]
                var index = node + 1
                for _ in 0..<document.nodes[node].count {
                    members[Array(document.text(index))] = Form(document, index + 1)
                    index = Int(document.nodes[index + 1].next)
                }
                self = .object(members)
            }
        }
    }
}
