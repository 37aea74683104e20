/// The one pass over the bytes behind `JSONDocument`.
struct JSONDocumentParser {
    private(set) var nodes: [JSONDocument.Node] = []
    private var position = 0
    private var depth = 0
    private var isASCII = true

    /// - Parameter capacity: the text's length.
    init(capacity: Int) { nodes.reserveCapacity(min(capacity / 8 + 4, 1024)) }

    mutating func read(_ bytes: Span<UInt8>) throws(JSONDocumentError) {
        guard bytes.count <= JSONDocument.Bound.text else { throw error("The JSON is too long") }
        try value(bytes)
        skipBlanks(bytes)
        guard position == bytes.count else { throw error("There is more after the JSON value") }
        // Outside of strings everything else was refused already.
        if !isASCII, !Self.isUTF8(bytes) {
            throw JSONDocumentError(offset: 0, detail: "The body is not valid UTF-8")
        }
    }

    static func isUTF8(_ bytes: Span<UInt8>) -> Bool { (try? UTF8Span(validating: bytes)) != nil }

    private mutating func value(_ bytes: Span<UInt8>) throws(JSONDocumentError) {
        skipBlanks(bytes)
        switch peek(bytes) {
        case UInt8(ascii: "{"): try object(bytes)
        case UInt8(ascii: "["): try array(bytes)
        case UInt8(ascii: "\""): try string(bytes)
        case UInt8(ascii: "t"): try literal(bytes, "true", .yes)
        case UInt8(ascii: "f"): try literal(bytes, "false", .no)
        case UInt8(ascii: "n"): try literal(bytes, "null", .null)
        default: try number(bytes)
        }
    }

    // MARK: Containers

    private mutating func object(_ bytes: Span<UInt8>) throws(JSONDocumentError) {
        let own = try open(.object)
        var count = 0
        if !take(bytes, UInt8(ascii: "}")) {
            repeat {
                skipBlanks(bytes)
                guard peek(bytes) == UInt8(ascii: "\"") else { throw error("A member's name is expected") }
                try string(bytes)
                guard take(bytes, UInt8(ascii: ":")) else { throw error("A colon is expected") }
                try value(bytes)
                count += 1
            } while take(bytes, UInt8(ascii: ","))
            guard take(bytes, UInt8(ascii: "}")) else { throw error("A comma or the end of the object is expected") }
        }
        close(own, count)
        guard hasDistinctNames(bytes, own) else { throw error("A name stands twice in an object") }
    }

    private mutating func array(_ bytes: Span<UInt8>) throws(JSONDocumentError) {
        let own = try open(.array)
        var count = 0
        if !take(bytes, UInt8(ascii: "]")) {
            repeat {
                try value(bytes)
                count += 1
            } while take(bytes, UInt8(ascii: ","))
            guard take(bytes, UInt8(ascii: "]")) else { throw error("A comma or the end of the array is expected") }
        }
        close(own, count)
    }

    private mutating func open(_ kind: JSONDocument.Kind) throws(JSONDocumentError) -> Int {
        depth += 1
        guard depth <= JSONDocument.Bound.depth else { throw error("The JSON is nested too deeply") }
        nodes.append(JSONDocument.Node(kind: kind, start: UInt32(position), end: UInt32(position)))
        position += 1
        return nodes.count - 1
    }

    private mutating func close(_ own: Int, _ count: Int) {
        depth -= 1
        nodes[own].count = UInt32(count)
        nodes[own].next = UInt32(nodes.count)
    }

    /// Members up to which names are compared with each other one by one.
    private static let fewMembers: UInt32 = 16

    private func hasDistinctNames(_ bytes: Span<UInt8>, _ object: Int) -> Bool {
        let count = nodes[object].count
        guard count > 1 else { return true }
        var names = Set<[UInt8]>()
        var index = object + 1
        for place in 0..<count {
            let name = nodes[index]
            if count <= Self.fewMembers, !name.hasEscapes {
                guard !isAmong(bytes, name, from: object + 1, count: place) else { return false }
            }
            if count > Self.fewMembers {
                guard names.insert(Self.meaning(bytes, name)).inserted else { return false }
            } else if name.hasEscapes {
                guard !isEscapedAmong(bytes, Self.meaning(bytes, name), object, except: index) else { return false }
            }
            index = Int(nodes[index + 1].next)
        }
        return true
    }

    /// Whether one of the first names is the same, letter for letter.
    private func isAmong(_ bytes: Span<UInt8>, _ name: JSONDocument.Node, from first: Int, count: UInt32) -> Bool {
        var index = first
        for _ in 0..<count {
            if Self.equal(bytes, nodes[index], name) { return true }
            index = Int(nodes[index + 1].next)
        }
        return false
    }

    private func isEscapedAmong(_ bytes: Span<UInt8>, _ meaning: [UInt8], _ object: Int, except own: Int) -> Bool {
        var index = object + 1
        for _ in 0..<nodes[object].count {
            if index != own, Self.meaning(bytes, nodes[index]) == meaning { return true }
            index = Int(nodes[index + 1].next)
        }
        return false
    }

    private static func equal(_ bytes: Span<UInt8>, _ left: JSONDocument.Node, _ right: JSONDocument.Node) -> Bool {
        guard left.end &- left.start == right.end &- right.start else { return false }
        for offset in 0..<Int(left.end &- left.start)
        where bytes[Int(left.start) &+ offset] != bytes[Int(right.start) &+ offset] {
            return false
        }
        return true
    }

    private static func meaning(_ bytes: Span<UInt8>, _ name: JSONDocument.Node) -> [UInt8] {
        var text: [UInt8] = []
        for index in name.range { text.append(bytes[index]) }
        return name.hasEscapes ? JSONEscape.resolve(text[...]) : text
    }

    // MARK: Scalars

    private mutating func append(_ kind: JSONDocument.Kind, from start: Int, hasEscapes: Bool = false) {
        nodes.append(
            JSONDocument.Node(
                kind: kind, hasEscapes: hasEscapes, start: UInt32(start), end: UInt32(position),
                next: UInt32(nodes.count + 1)))
    }

    private mutating func literal(
        _ bytes: Span<UInt8>, _ text: StaticString, _ kind: JSONDocument.Kind
    ) throws(JSONDocumentError) {
        let start = position
        let isThere = text.withUTF8Buffer { text in
            guard start + text.count <= bytes.count else { return false }
            for offset in text.indices where bytes[start + offset] != text[offset] { return false }
            return true
        }
        guard isThere else { throw error("A JSON value is expected") }
        position += text.utf8CodeUnitCount
        append(kind, from: start)
    }

    private mutating func number(_ bytes: Span<UInt8>) throws(JSONDocumentError) {
        let start = position
        if peek(bytes) == UInt8(ascii: "-") { position += 1 }
        let first = peek(bytes)
        let digits = skipDigits(bytes)
        guard digits > 0 else { throw error("A JSON value is expected") }
        guard digits == 1 || first != UInt8(ascii: "0") else { throw error("A number begins with 0") }
        var kind = JSONDocument.Kind.integer
        if peek(bytes) == UInt8(ascii: ".") {
            kind = .number
            position += 1
            guard skipDigits(bytes) > 0 else { throw error("A digit is expected after the decimal point") }
        }
        if peek(bytes) == UInt8(ascii: "e") || peek(bytes) == UInt8(ascii: "E") {
            kind = .number
            position += 1
            if peek(bytes) == UInt8(ascii: "+") || peek(bytes) == UInt8(ascii: "-") { position += 1 }
            let exponent = position
            guard skipDigits(bytes) > 0 else { throw error("A digit is expected in the exponent") }
            var value = 0
            for index in exponent..<position { value = min(value * 10 + Int(bytes[index] & 15), 1_000_000) }
            guard value <= JSONDocument.Bound.exponent else { throw error("A number's exponent is out of bounds") }
        }
        guard position - start <= JSONDocument.Bound.numberLength else { throw error("A number is too long") }
        append(kind, from: start)
    }

    private mutating func string(_ bytes: Span<UInt8>) throws(JSONDocumentError) {
        position += 1
        let start = position
        var hasEscapes = false
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                append(.string, from: start, hasEscapes: hasEscapes)
                position += 1
                return
            }
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                try skipEscape(bytes)
            } else {
                guard byte >= 0x20 else { throw error("A control character stands in a string") }
                if byte >= 0x80 { isASCII = false }
                position &+= 1
            }
        }
        throw error("A string has no end")
    }

    private mutating func skipEscape(_ bytes: Span<UInt8>) throws(JSONDocumentError) {
        position += 1
        guard let letter = peek(bytes) else { throw error("A string has no end") }
        position += 1
        guard letter == UInt8(ascii: "u") else {
            guard JSONEscape.meaning(of: letter) != nil else { throw error("An unknown escape stands in a string") }
            return
        }
        let unit = try codeUnit(bytes)
        guard 0xD800..<0xE000 ~= unit else { return }
        guard unit < 0xDC00, peek(bytes) == UInt8(ascii: "\\"), position + 1 < bytes.count,
            bytes[position + 1] == UInt8(ascii: "u")
        else { throw error("Half a surrogate pair stands in a string") }
        position += 2
        guard 0xDC00..<0xE000 ~= (try codeUnit(bytes)) else { throw error("Half a surrogate pair stands in a string") }
    }

    private mutating func codeUnit(_ bytes: Span<UInt8>) throws(JSONDocumentError) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = peek(bytes)?.hexadecimalValue else { throw error("Four hexadecimal digits are expected") }
            unit = unit << 4 | UInt32(digit)
            position += 1
        }
        return unit
    }

    // MARK: Bytes

    @inline(__always)
    private func peek(_ bytes: Span<UInt8>) -> UInt8? { position < bytes.count ? bytes[position] : nil }

    @inline(__always)
    private mutating func skipBlanks(_ bytes: Span<UInt8>) {
        while position < bytes.count {
            let byte = bytes[position]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            position &+= 1
        }
    }

    private mutating func skipDigits(_ bytes: Span<UInt8>) -> Int {
        let start = position
        while position < bytes.count, 0x30...0x39 ~= bytes[position] { position &+= 1 }
        return position - start
    }

    @inline(__always)
    private mutating func take(_ bytes: Span<UInt8>, _ byte: UInt8) -> Bool {
        skipBlanks(bytes)
        guard peek(bytes) == byte else { return false }
        position &+= 1
        return true
    }

    private func error(_ detail: String) -> JSONDocumentError { JSONDocumentError(offset: position, detail: detail) }
}
