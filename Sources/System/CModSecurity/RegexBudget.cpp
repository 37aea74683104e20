#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <dlfcn.h>
#include <time.h>

#include <algorithm>
#include <string>
#include <utility>

#include "RegexBudget.h"

// The functions by which libmodsecurity compiles and searches are defined here once more. A program's own definition
// goes before a shared library's (System V ABI, symbol resolution), so the library calls these, which set the bounds
// that it does not and then call the real ones. `SecLangEngine` makes sure at start that it is so. To go when the
// library bounds its searches by itself, in steps (SecPcreMatchLimit) and in time.
//
// PCRE2's own limit counts the steps from one starting point, so a search of n bytes may take n times as many. An
// ordinary text is searched in one go, with so low a limit that this does not matter. A long one, or one that breaks
// it, is searched in stretches of starting points, so short that a look at the clock in between keeps the bound. The
// text before a stretch stays visible to the expression: what is found is the same.

namespace {

/// Steps from one starting point. Expressions that go over the rest of the text and back need a few for each byte of
/// it.
constexpr uint32_t least_steps = 10'000;
constexpr uint32_t steps_for_each_byte = 4;

/// Steps between two looks at the clock, of which each was seen to take 200 nanoseconds at worst.
constexpr size_t steps_in_stretch = 300'000;

/// Starting points in the first stretch; each next one has twice as many, up to `steps_in_stretch`. So a text that
/// costs much from the start is found out early.
constexpr size_t first_stretch = 4;

/// Steps from one starting point that nearly no search of ordinary text exceeds. Where that bounds a search of the
/// whole text to a part of `steps_in_stretch`, it is tried first, in one go, and several share a look at the clock.
constexpr uint32_t few_steps = 128;
constexpr size_t short_text = steps_in_stretch / few_steps / 2;

/// Bytes of stack for compiled expressions. With the 32 KiB that they have by default, long texts fall back to the
/// interpreter, which is far slower.
constexpr size_t largest_stack = 1 << 20;

uint64_t nanoseconds(clockid_t clock) {
    timespec time;
    clock_gettime(clock, &time);
    return uint64_t(time.tv_sec) * 1'000'000'000 + uint64_t(time.tv_nsec);
}

/// What a thread needs to search within bounds; the pointers are null while nothing is bounded.
struct ThreadState {
    pcre2_match_context *context = pcre2_match_context_create(nullptr);
    pcre2_jit_stack *stack = pcre2_jit_stack_create(32 << 10, largest_stack, nullptr);
    bool *is_exhausted = nullptr;
    uint64_t *searches = nullptr;
    uint64_t wall_deadline = 0;
    uint64_t processor_deadline = 0;
    /// Steps that may be taken before the next look at the clock.
    size_t steps_without_look = 0;

    ThreadState() {
        if (context && stack) pcre2_jit_stack_assign(context, nullptr, stack);
    }

    ~ThreadState() {
        pcre2_match_context_free(context);
        pcre2_jit_stack_free(stack);
    }

    /// Whether `steps` may be taken; looks at the clock where those taken since the last look are too many.
    bool has_time(size_t steps) {
        if (steps > steps_without_look) {
            if (!has_time()) return false;
            steps_without_look = steps_in_stretch;
        }
        steps_without_look -= std::min(steps, steps_without_look);
        return true;
    }

   private:
    /// Whether processor time is left. The wall clock, which is cheap to ask, is never behind the processor's.
    bool has_time() {
        auto wall = nanoseconds(CLOCK_MONOTONIC);
        if (wall < wall_deadline) return true;
        auto used = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
        if (used >= processor_deadline) return false;
        wall_deadline = wall + (processor_deadline - used);
        return true;
    }
};

thread_local ThreadState state;

thread_local std::string failed_pattern;

/// The function of this name in the libraries that come after this program in the order of search.
template <typename Function>
Function *next(const char *name) {
    return reinterpret_cast<Function *>(dlsym(RTLD_NEXT, name));
}

using Match = decltype(pcre2_match_8);

/// Whether the result is neither a match nor none: a bound was broken. (None of the expressions is in UTF mode.)
bool is_failure(int result) { return result < PCRE2_ERROR_PARTIAL && result != PCRE2_ERROR_JIT_BADOPTION; }

/// A text in stretches of starting points.
int search_in_stretches(
    Match *match, const pcre2_code *code, PCRE2_SPTR subject, PCRE2_SIZE length, PCRE2_SIZE start, uint32_t options,
    pcre2_match_data *data, ThreadState &own) {
    auto steps = uint32_t(std::max<size_t>(least_steps, std::min<size_t>(length, 1 << 24) * steps_for_each_byte));
    auto longest_stretch = std::max<size_t>(1, steps_in_stretch / steps);
    auto stretch = std::min(first_stretch, longest_stretch);
    pcre2_set_match_limit(own.context, steps);
    while (own.has_time(stretch * steps)) {
        bool is_last = start >= length || length - start <= stretch;
        pcre2_set_offset_limit(own.context, is_last ? PCRE2_UNSET : start + stretch - 1);
        int result = match(code, subject, length, start, options, data, own.context);
        if (result != PCRE2_ERROR_NOMATCH || is_last) return result;
        start += stretch;
        stretch = std::min(stretch * 2, longest_stretch);
    }
    return PCRE2_ERROR_MATCHLIMIT;
}

int search(
    Match *match, const pcre2_code *code, PCRE2_SPTR subject, PCRE2_SIZE length, PCRE2_SIZE start, uint32_t options,
    pcre2_match_data *data, pcre2_match_context *context) {
    auto &own = state;
    if (own.is_exhausted == nullptr || context != nullptr) {
        return match(code, subject, length, start, options, data, context);
    }
    ++*own.searches;
    int result = PCRE2_ERROR_MATCHLIMIT;
    if (own.context && !*own.is_exhausted) {
        if (length <= short_text && own.has_time((length + 1) * few_steps)) {
            pcre2_set_match_limit(own.context, few_steps);
            pcre2_set_offset_limit(own.context, PCRE2_UNSET);
            result = match(code, subject, length, start, options, data, own.context);
        }
        // A bound is no answer: the same search again, with bounds that only hostile texts break.
        if (is_failure(result)) {
            result = search_in_stretches(match, code, subject, length, start, options, data, own);
        }
    }
    if (is_failure(result)) *own.is_exhausted = true;
    return result;
}

}  // namespace

namespace drawbridge {

RegexBudget::RegexBudget(uint64_t processor_time, bool &is_exhausted, uint64_t &searches) {
    auto &own = state;
    own.is_exhausted = &is_exhausted;
    own.searches = &searches;
    own.processor_deadline = nanoseconds(CLOCK_THREAD_CPUTIME_ID) + processor_time;
    own.wall_deadline = nanoseconds(CLOCK_MONOTONIC) + processor_time;
    own.steps_without_look = steps_in_stretch;
}

RegexBudget::~RegexBudget() {
    state.is_exhausted = nullptr;
    state.searches = nullptr;
}

std::string take_failed_pattern() { return std::exchange(failed_pattern, {}); }

}  // namespace drawbridge

extern "C" pcre2_code *pcre2_compile_8(
    PCRE2_SPTR pattern, PCRE2_SIZE length, uint32_t options, int *error, PCRE2_SIZE *offset,
    pcre2_compile_context *context) {
    static const auto compile = next<decltype(pcre2_compile_8)>("pcre2_compile_8");
    auto code = compile(pattern, length, options | PCRE2_USE_OFFSET_LIMIT, error, offset, context);
    if (code == nullptr) {
        auto text = reinterpret_cast<const char *>(pattern);
        failed_pattern = length == PCRE2_ZERO_TERMINATED ? std::string(text) : std::string(text, length);
    }
    return code;
}

extern "C" int pcre2_match_8(
    const pcre2_code *code, PCRE2_SPTR subject, PCRE2_SIZE length, PCRE2_SIZE start, uint32_t options,
    pcre2_match_data *data, pcre2_match_context *context) {
    static const auto match = next<Match>("pcre2_match_8");
    return search(match, code, subject, length, start, options, data, context);
}

extern "C" int pcre2_jit_match_8(
    const pcre2_code *code, PCRE2_SPTR subject, PCRE2_SIZE length, PCRE2_SIZE start, uint32_t options,
    pcre2_match_data *data, pcre2_match_context *context) {
    static const auto match = next<Match>("pcre2_jit_match_8");
    return search(match, code, subject, length, start, options, data, context);
}
