internal import CLibCurl
internal import HTTP

/// Header fields in the form that libcurl takes them: a list of lines. Its memory is kept from one request to the next.
final class FieldList {
    private var nodes: UnsafeMutablePointer<curl_slist>
    private var text: UnsafeMutablePointer<CChar>
    private var nodeCapacity = 16
    private var textCapacity = 1024

    init() {
        nodes = .allocate(capacity: nodeCapacity)
        text = .allocate(capacity: textCapacity)
    }

    deinit {
        nodes.deallocate()
        text.deallocate()
    }

    /// The list of these fields; good until the next call.
    func fill(_ fields: Fields) -> UnsafeMutablePointer<curl_slist> {
        // Without the last one libcurl would ask before it sends a large body, and wait for an answer that few give.
        let expectation = "Expect:"
        reserve(
            nodeCount: fields.count + 1,
            byteCount: fields.reduce(expectation.utf8.count + 1) { $0 + $1.nameBytes.count + $1.valueBytes.count + 3 })
        var end = text
        func append(_ bytes: some Collection<UInt8>) {
            for byte in bytes {
                end.pointee = CChar(bitPattern: byte)
                end += 1
            }
        }
        for (index, field) in fields.enumerated() {
            nodes[index] = curl_slist(data: end, next: nodes + index + 1)
            append(field.nameBytes)
            // A name with nothing behind its colon would mean that the field be left out (CURLOPT_HTTPHEADER).
            append(field.valueBytes.isEmpty ? ";".utf8 : ": ".utf8)
            append(field.valueBytes)
            append(CollectionOfOne(0))
        }
        nodes[fields.count] = curl_slist(data: end, next: nil)
        append(expectation.utf8)
        append(CollectionOfOne(0))
        return nodes
    }

    private func reserve(nodeCount: Int, byteCount: Int) {
        if nodeCount > nodeCapacity {
            nodes.deallocate()
            nodeCapacity = nodeCount
            nodes = .allocate(capacity: nodeCapacity)
        }
        if byteCount > textCapacity {
            text.deallocate()
            textCapacity = byteCount
            text = .allocate(capacity: textCapacity)
        }
    }
}
