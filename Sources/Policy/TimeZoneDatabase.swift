internal import Glibc

/// The machine's IANA time zone files.
enum TimeZoneDatabase {
    private static let directory = "/usr/share/zoneinfo"

    /// Whether a name is an area and place, or `UTC`, that the machine has a file for.
    static func contains(_ name: String) -> Bool {
        let isName = name.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            case UInt8(ascii: "/"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "+"): true
            default: false
            }
        }
        var status = stat()
        return isName && !name.hasPrefix("/") && stat("\(directory)/\(name)", &status) == 0
            && status.st_mode & S_IFMT == S_IFREG
    }
}
