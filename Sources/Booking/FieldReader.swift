package import JSONText

/// Reads the members of a JSON object one by one and collects what is wrong with each, so that a client learns of all its
/// mistakes at once. Members that nobody asked for are errors too.
package struct FieldReader {
    /// Errors that are told; further ones help nobody and would make a small request a large answer.
    package static let maximumErrors = 20

    package let pointer: String
    private(set) var errors: [FieldError] = []
    private let members: [String: JSONValue]
    private let names: [String]
    private var known: Set<String> = []

    /// A reader of an object; anything else is an error, and then every field is absent without further ones.
    package init(_ value: JSONValue?, at pointer: String) {
        self.pointer = pointer
        let members = value?.members ?? []
        names = members.map(\.name)
        self.members = Dictionary(members.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        isObject = value?.members != nil
        if !isObject { errors.append(FieldError(pointer: pointer, detail: "An object is expected")) }
    }

    private let isObject: Bool

    /// A reader of a body.
    ///
    /// - Throws: `InvalidRequest` if it is not JSON.
    init(parsing json: [UInt8]) throws(InvalidRequest) { self.init(try JSONValue(body: json), at: "") }

    /// Adds an error about a member of this object.
    package mutating func fail(_ name: String, _ detail: String) {
        guard errors.count < FieldReader.maximumErrors else { return }
        errors.append(FieldError(pointer: pointer + "/" + FieldReader.escape(name), detail: detail))
    }

    /// Adds an error about an element of a member that is an array.
    package mutating func fail(at name: String, _ position: Int, _ detail: String) {
        guard errors.count < FieldReader.maximumErrors else { return }
        errors.append(FieldError(pointer: "\(pointer)/\(FieldReader.escape(name))/\(position)", detail: detail))
    }

    /// Adds errors found in a member by another reader.
    package mutating func absorb(_ other: FieldReader) {
        errors += other.finished().prefix(FieldReader.maximumErrors - errors.count)
    }

    /// The first errors, with one for each member that was not read.
    package func finished() -> [FieldError] {
        let unknown = names.lazy.filter { !known.contains($0) }.prefix(FieldReader.maximumErrors - errors.count)
        return errors
            + unknown.map {
                FieldError(pointer: pointer + "/" + FieldReader.escape($0), detail: "There is no such member")
            }
    }

    /// The member of that name; nil if it is absent or null, which is an error only if it is required.
    package mutating func value(_ name: String, isRequired: Bool) -> JSONValue? {
        known.insert(name)
        switch members[name] {
        case nil, .null:
            if isRequired && isObject { fail(name, "This member is required") }
            return nil
        case let value?: return value
        }
    }

    /// An integer within the range, also as a numeric string where PMS clients send ids so.
    package mutating func integer(
        _ name: String, in range: ClosedRange<Int64>, isRequired: Bool = true, allowsString: Bool = false
    ) -> Int64? {
        guard let value = value(name, isRequired: isRequired) else { return nil }
        switch value {
        case .integer(let integer) where range.contains(integer): return integer
        case .string(let text) where allowsString:
            guard text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let integer = Int64(text),
                range.contains(integer)
            else { break }
            return integer
        default: break
        }
        fail(name, "An integer from \(range.lowerBound) to \(range.upperBound) is expected")
        return nil
    }

    /// A string of the length, in Unicode scalars, without control characters; newlines and tabs only where allowed.
    package mutating func text(
        _ name: String, length: ClosedRange<Int>, isRequired: Bool = true, allowsLines: Bool = false
    ) -> String? {
        guard let value = value(name, isRequired: isRequired) else { return nil }
        guard let text = value.string else {
            fail(name, "A string is expected")
            return nil
        }
        guard length.contains(text.unicodeScalars.count) else {
            fail(name, "A string of \(length.lowerBound) to \(length.upperBound) characters is expected")
            return nil
        }
        guard text.unicodeScalars.allSatisfy({ FieldReader.isPrintable($0, allowsLines: allowsLines) }) else {
            fail(name, "Control characters are not allowed")
            return nil
        }
        return text
    }

    /// Escapes a member's name for a JSON pointer (RFC 6901 §3). Longer names than any of ours are cut: they are quoted
    /// back to whoever sent them.
    static func escape(_ name: String) -> String {
        var escaped = ""
        for character in name.unicodeScalars.prefix(64) {
            switch character {
            case "~": escaped += "~0"
            case "/": escaped += "~1"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }

    /// Whether a scalar may stand in text that people will read: no control characters, and none of the invisible ones
    /// that reverse or hide what follows (bidirectional controls, line and paragraph separators).
    private static func isPrintable(_ scalar: Unicode.Scalar, allowsLines: Bool) -> Bool {
        switch scalar.properties.generalCategory {
        case .control: allowsLines && (scalar == "\n" || scalar == "\r" || scalar == "\t")
        case .lineSeparator, .paragraphSeparator, .privateUse, .unassigned, .surrogate: false
        case .format: !(0x202A...0x202E ~= scalar.value || 0x2066...0x2069 ~= scalar.value)
        default: true
        }
    }
}

extension JSONValue {
    /// A request's body.
    ///
    /// - Throws: `InvalidRequest` when it is no JSON.
    package init(body: [UInt8]) throws(InvalidRequest) {
        do { try self.init(parsing: body) } catch {
            let detail = "\(error.detail) (byte \(error.offset))"
            throw InvalidRequest(isMalformed: true, errors: [FieldError(pointer: "", detail: detail)])
        }
    }
}
