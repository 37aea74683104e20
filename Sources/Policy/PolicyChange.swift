/// What is different between two versions of a policy file.
public enum PolicyChange {
    /// The keys whose values are others, such as `ledger.segment_size` or `hotels[2].currency`, in the order of the
    /// newer version; those that are gone last.
    ///
    /// - Returns: nothing, too, where one of the two is no YAML.
    public static func keys(from old: [UInt8], to new: [UInt8]) -> [String] {
        guard let old = YAMLParser.document(old, log: MistakeLog(file: "")),
            let new = YAMLParser.document(new, log: MistakeLog(file: ""))
        else { return [] }
        return keys(from: old, to: new, path: "")
    }

    private static func keys(from old: YAMLNode, to new: YAMLNode, path: String) -> [String] {
        switch (old.value, new.value) {
        case (.mapping(let before), .mapping(let after)):
            let names = after.map(\.key) + before.map(\.key).filter { new[$0] == nil }
            return names.flatMap { name -> [String] in
                let path = path.isEmpty ? name : "\(path).\(name)"
                guard let before = old[name], let after = new[name] else {
                    return (old[name] ?? new[name]).map { leaves(of: $0, path: path) } ?? []
                }
                return keys(from: before, to: after, path: path)
            }
        case (.sequence(let before), .sequence(let after)) where before.count == after.count:
            return before.indices.flatMap { keys(from: before[$0], to: after[$0], path: "\(path)[\($0)]") }
        case (.scalar(let before, let wasPlain), .scalar(let after, let isPlain)):
            return before == after && wasPlain == isPlain ? [] : [path]
        default: return [path]
        }
    }

    /// The keys of what stands in one version only.
    private static func leaves(of node: YAMLNode, path: String) -> [String] {
        guard case .mapping(let entries) = node.value, !entries.isEmpty else { return [path] }
        return entries.flatMap { leaves(of: $0.value, path: "\(path).\($0.key)") }
    }
}
