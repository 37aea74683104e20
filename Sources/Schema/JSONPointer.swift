/// Places in a document, as RFC 6901 writes them.
enum JSONPointer {
    /// Characters of a name that are quoted back to whoever sent it; no described one is longer.
    private static let maximumName = 64

    /// A name as it stands in a pointer (§3).
    static func escape(_ name: ArraySlice<UInt8>) -> String {
        var escaped = ""
        for scalar in String(decoding: name, as: UTF8.self).unicodeScalars.prefix(maximumName) {
            switch scalar {
            case "~": escaped += "~0"
            case "/": escaped += "~1"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

extension JSONDocument {
    /// The pointer to a value: on the way down, in each container, the one that it is within.
    func pointer(to target: Int) -> String {
        var pointer = ""
        var container = 0
        while container != target {
            let isObject = nodes[container].kind == .object
            var index = container + 1
            var position = 0
            while true {
                let value = isObject ? index + 1 : index
                if target < Int(nodes[value].next) {
                    pointer += "/" + (isObject ? JSONPointer.escape(text(index)) : String(position))
                    container = value
                    break
                }
                index = Int(nodes[value].next)
                position += 1
            }
        }
        return pointer
    }
}
