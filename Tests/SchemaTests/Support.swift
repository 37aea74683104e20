@testable import Schema

extension SchemaSource {
    /// A schema written as JSON; what stands there need not be one.
    init(json: String) throws {
        let document = try JSONDocument(parsing: Array(json.utf8))
        self.init(document, 0)
    }

    private init(_ document: JSONDocument, _ node: Int) {
        func text(_ node: Int) -> String { String(decoding: document.text(node), as: UTF8.self) }
        switch document.nodes[node].kind {
        case .null: self.init(.null)
        case .yes: self.init(.bool(true))
        case .no: self.init(.bool(false))
        case .integer, .number: self.init(.number(text(node)))
        case .string: self.init(.string(text(node)))
        case .array: self.init(.array(document.elements(of: node).map { SchemaSource(document, $0) }))
        case .object:
            var members: [(String, SchemaSource)] = []
            var index = node + 1
            for _ in 0..<document.nodes[node].count {
                members.append((text(index), SchemaSource(document, index + 1)))
                index = Int(document.nodes[index + 1].next)
            }
            self.init(.object(members))
        }
    }
}

extension Schema {
    init(json: String) throws {
        let source = try SchemaSource(json: json)
        try self.init(source, in: source)
    }

    func violations(_ json: String) throws -> [Violation] {
        violations(in: try JSONDocument(parsing: Array(json.utf8)))
    }

    func accepts(_ json: String) throws -> Bool { try violations(json).isEmpty }
}
