internal import Glibc
public import Loop
internal import Synchronization

/// What the clients of each address hold on to at one node: counts in memory that all its processes map.
///
/// Each process counts in a column of its own and looks at the sum of all, so there is nothing to agree on. A column
/// belongs to who has the kernel's lock on it, and the lock ends with the process: what a killed one had counted is
/// forgotten by who takes its column, or would refuse somebody because of it.
///
/// In a column an address counts in one cell of each row, found by a keyed hash, and has what the least of them says (a
/// count-min sketch; Cormode and Muthukrishnan, 2005). So there are no keys, and nothing has to make room for anything.
/// Nobody ever gets more than the bound; less gets only who shares all his cells with others that hold much.
public final class AddressCounts {
    /// What is counted, each apart.
    public enum Quantity: Int, Sendable, CaseIterable {
        /// Open connections.
        case connections
        /// Bytes of requests' heads that are not complete.
        case headBytes
    }

    /// Processes that may count at once: as many workers as there can be, and as many that they take over from.
    static let columnCount = 512
    private static let rowLength = 8_192
    private static let quantityLength = 2 * rowLength
    private static let columnSize =
        Quantity.allCases.count * quantityLength * MemoryLayout<Atomic<UInt32>>.stride

    private typealias Count = UnsafeMutablePointer<Atomic<UInt32>>

    private let file: TableFile
    private let hash: SipHash
    private let own: Int
    /// The columns from here on were never anybody's.
    private let end: Count

    /// Opens the table at `path`, made if need be; what stands there and is no such table is replaced.
    ///
    /// - Throws: `RateLimitError`, also when as many processes have it open as can.
    public init(path: String) throws(RateLimitError) {
        let file = try TableFile.open(path, byteCount: Self.columnCount * Self.columnSize, isSparse: true)
        guard let own = (0..<Self.columnCount).first(where: { Self.lock($0, F_WRLCK, file) }) else {
            file.close()
            throw RateLimitError(.table, "cannot count by addresses: as many workers do as can")
        }
        // All of it is there from now on: a full disk must not become a bus error at some connection. (Linux before
        // 5.14 has no way to ask, and says that the question is invalid.)
        guard madvise(Self.column(own, file), Self.columnSize, MADV_POPULATE_WRITE) == 0 || errno == EINVAL else {
            file.close()
            throw RateLimitError(.table, "cannot count by addresses: no room for one more worker's column")
        }
        self.file = file
        self.own = own
        hash = SipHash(key: file.hashKey)
        end = (file.base + TableFile.ownOffset).assumingMemoryBound(to: Atomic<UInt32>.self)
        forget(own)
        end.pointee.max(UInt32(own + 1), ordering: .sequentiallyConsistent)
    }

    deinit { file.close() }

    /// Counts so much more for an address, unless it then held more than `bound`.
    ///
    /// - Returns: whether it is counted; then it must be released.
    public func hold(_ amount: Int, of quantity: Quantity, by address: AddressBlock, upTo bound: Int) -> Bool {
        let cells = cells(of: address, quantity)
        // Counted first, looked at then: of two processes that take the last there is at the same time, each sees the
        // other.
        add(amount, cells)
        if sum(cells) <= bound || forgetTheDead(cells) && sum(cells) <= bound { return true }
        add(-amount, cells)
        return false
    }

    /// Counts so much less for an address, which holds it.
    public func release(_ amount: Int, of quantity: Quantity, by address: AddressBlock) {
        add(-amount, cells(of: address, quantity))
    }

    // MARK: Cells

    private typealias Cells = (Int, Int)

    private func cells(of address: AddressBlock, _ quantity: Quantity) -> Cells {
        let hash = hash(address.network, address.isIPv6 ? 6 : 4)
        let row = quantity.rawValue * Self.quantityLength
        let mask = UInt64(Self.rowLength - 1)
        return (row + Int(hash & mask), row + Self.rowLength + Int(hash >> 32 & mask))
    }

    private func add(_ amount: Int, _ cells: Cells) {
        let amount = UInt32(truncatingIfNeeded: amount)
        count(own, cells.0).pointee.wrappingAdd(amount, ordering: .sequentiallyConsistent)
        count(own, cells.1).pointee.wrappingAdd(amount, ordering: .sequentiallyConsistent)
    }

    /// What an address holds, in all columns.
    private func sum(_ cells: Cells) -> Int {
        var sums = (0, 0)
        for column in columns {
            sums.0 += Int(count(column, cells.0).pointee.load(ordering: .sequentiallyConsistent))
            sums.1 += Int(count(column, cells.1).pointee.load(ordering: .sequentiallyConsistent))
        }
        return min(sums.0, sums.1)
    }

    private func count(_ column: Int, _ cell: Int) -> Count {
        Self.column(column, file).assumingMemoryBound(to: Atomic<UInt32>.self) + cell
    }

    // MARK: Columns

    private var columns: Range<Int> { 0..<min(Int(end.pointee.load(ordering: .acquiring)), Self.columnCount) }

    private static func column(_ column: Int, _ file: TableFile) -> UnsafeMutableRawPointer {
        file.base + TableFile.headSize + column * columnSize
    }

    /// Forgets what those have counted in these cells who are gone, with everything else of theirs.
    ///
    /// - Returns: whether there was anybody.
    private func forgetTheDead(_ cells: Cells) -> Bool {
        var isAnybodyDead = false
        for column in columns where column != own {
            let held = (
                count(column, cells.0).pointee.load(ordering: .relaxed),
                count(column, cells.1).pointee.load(ordering: .relaxed)
            )
            // Meanwhile it is ours, so nobody begins to count in it.
            guard held != (0, 0), Self.lock(column, F_WRLCK, file) else { continue }
            forget(column)
            _ = Self.lock(column, F_UNLCK, file)
            isAnybodyDead = true
        }
        return isAnybodyDead
    }

    private func forget(_ column: Int) { memset(Self.column(column, file), 0, Self.columnSize) }

    /// `F_OFD_SETLK` of Linux, which the headers show to those who ask for GNU's extensions only.
    private static let setLock: CInt = 37

    /// Takes a column's lock, which is on the byte of its number, if nobody has it, or lets go of it. It is the open
    /// file's, not the process's, so not even two tables of one process have one column.
    private static func lock(_ column: Int, _ type: CInt, _ file: TableFile) -> Bool {
        var lock = flock()
        lock.l_type = Int16(type)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = off_t(column)
        lock.l_len = 1
        return fcntl(file.descriptor, setLock, &lock) == 0
    }
}
