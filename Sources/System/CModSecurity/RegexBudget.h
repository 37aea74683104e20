#ifndef DRAWBRIDGE_REGEX_BUDGET_H
#define DRAWBRIDGE_REGEX_BUDGET_H

#include <cstdint>
#include <string>

namespace drawbridge {

/// Bounds what the regular expressions of one inspection may cost while it is in scope, on the thread that made it.
///
/// libmodsecurity 3.0.9 takes no notice of `SecPcreMatchLimit`, and some expressions of the core rule set need time
/// that grows with the cube of their input: 4,000 bytes of `<!` held a thread for ten seconds. When a bound is broken,
/// this search and all later ones of the inspection find nothing, at once, and the inspection is void.
class RegexBudget {
   public:
    /// - Parameters:
    ///   - processor_time: nanoseconds that the inspection may take.
    ///   - is_exhausted: set when a bound was broken.
    ///   - searches: counts the searches that were bounded.
    RegexBudget(uint64_t processor_time, bool &is_exhausted, uint64_t &searches);
    ~RegexBudget();

    RegexBudget(const RegexBudget &) = delete;
    RegexBudget &operator=(const RegexBudget &) = delete;
};

/// The last pattern that could not be compiled on this thread since the last call; empty where there is none. The
/// library makes a rule of it that never matches, and says nothing.
std::string take_failed_pattern();

}  // namespace drawbridge

#endif
