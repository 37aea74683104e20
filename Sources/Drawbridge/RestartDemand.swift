internal import Lifecycle
internal import Loop
internal import Policy

/// What a process reads when it starts and goes by until it ends: changed, it is not in force before another start of
/// it.
@OnLoop
struct RestartDemand {
    private let process: SupervisedProcess
    private let file: String
    private let concerns: (String) -> Bool
    /// Whose policies these are.
    private var processID: Int32?
    private var content: [UInt8] = []

    /// - Parameters:
    ///   - file: the policy file.
    ///   - concerns: whether the process goes by a key of it.
    init(of process: SupervisedProcess, _ file: String, _ concerns: @escaping (String) -> Bool) {
        self.process = process
        self.file = file
        self.concerns = concerns
    }

    /// Notes what is in force before it is changed: what a process has read that was started since the last time.
    mutating func note(inForce files: [String: [UInt8]]) {
        guard process.processID != processID else { return }
        processID = process.processID
        content = files[file] ?? []
    }

    /// What is to be said once other policies are in force; nil where the process goes by nothing that has changed.
    func remark(inForce files: [String: [UInt8]]) -> String? {
        // Whoever was started meanwhile has read them.
        guard process.processID == processID else { return nil }
        let keys = PolicyChange.keys(from: content, to: files[file] ?? []).filter(concerns)
        return keys.isEmpty ? nil : "\(file): \(keys.joined(separator: ", ")): in force only after a restart"
    }
}
