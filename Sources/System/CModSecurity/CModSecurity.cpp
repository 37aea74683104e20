#include "CModSecurity.h"

#include <cstdlib>
#include <malloc.h>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <modsecurity/modsecurity.h>
#include <modsecurity/rule_message.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>

#include "RegexBudget.h"

using modsecurity::ModSecurity;
using modsecurity::RuleMessage;
using modsecurity::RulesSet;
using modsecurity::Transaction;

struct drawbridge_rules {
    ModSecurity library;
    RulesSet rules;
    std::string error;
};

namespace {

struct Match {
    int64_t rule;
    int64_t score;
    std::string variable;
};

}  // namespace

struct drawbridge_inspection {
    drawbridge_inspection(drawbridge_rules *rules, uint64_t processor_time)
        : processor_time(processor_time),
          // The library wants an id for its logs, of which there are none; making one up would cost it time.
          transaction(&rules->library, &rules->rules, const_cast<char *>("-"), this) {}

    uint64_t processor_time;
    uint64_t searches = 0;
    bool is_exhausted = false;
    std::vector<Match> matches;
    // Of the matches so far.
    int64_t score = 0;
    // Last, for it calls back with a pointer to this object.
    Transaction transaction;
};

namespace {

// What the rules have added so far: the core rule set counts for each paranoia level by itself, and adds up at the end.
int64_t current_score(const drawbridge_inspection *inspection) {
    static const char *const names[] = {
        "anomaly_score_pl1", "anomaly_score_pl2", "anomaly_score_pl3", "anomaly_score_pl4"};
    int64_t sum = 0;
    for (auto name : names) sum += drawbridge_inspection_get(inspection, name);
    return sum;
}

// Called at the moment of the match, when the library still knows which variable it was. Its score has been added by then.
void note_match(void *data, const void *message) {
    auto inspection = static_cast<drawbridge_inspection *>(data);
    if (inspection == nullptr || inspection->matches.size() >= drawbridge_maximum_matches) return;
    auto rule = static_cast<const RuleMessage *>(message)->m_ruleId;
    auto score = current_score(inspection);
    auto added = score - inspection->score;
    inspection->score = score;
    inspection->matches.push_back({rule, added, inspection->transaction.m_variableMatchedVarName.m_value});
}

template <typename Body>
bool guarded(Body body) noexcept {
    try {
        return body();
    } catch (...) {
        return false;
    }
}

}  // namespace

drawbridge_rules *drawbridge_rules_new(void) {
    try {
        auto rules = std::make_unique<drawbridge_rules>();
        rules->library.setConnectorInformation("drawbridge");
        rules->library.setServerLogCb(note_match, modsecurity::RuleMessageLogProperty);
        return rules.release();
    } catch (...) {
        return nullptr;
    }
}

void drawbridge_rules_free(drawbridge_rules *rules) { delete rules; }

bool drawbridge_rules_load(drawbridge_rules *rules, const uint8_t *text, size_t length, const char *path) {
    return guarded([&] {
        rules->error = "no reason given";
        drawbridge::take_failed_pattern();
        // The library gives the number of rules, or less than zero.
        std::string copy(reinterpret_cast<const char *>(text), length);
        if (rules->rules.load(copy.c_str(), path) < 0) {
            rules->error = rules->rules.getParserError();
            return false;
        }
        auto pattern = drawbridge::take_failed_pattern();
        rules->error = "This is no regular expression: " + pattern;
        return pattern.empty();
    });
}

void drawbridge_rules_loaded(void) { malloc_trim(0); }

const char *drawbridge_rules_error(const drawbridge_rules *rules) { return rules->error.c_str(); }

drawbridge_inspection *drawbridge_inspection_new(drawbridge_rules *rules, uint64_t processor_time) {
    try {
        return new drawbridge_inspection(rules, processor_time);
    } catch (...) {
        return nullptr;
    }
}

void drawbridge_inspection_free(drawbridge_inspection *inspection) { delete inspection; }

bool drawbridge_inspection_set(drawbridge_inspection *inspection, const char *name, int64_t value) {
    return guarded([&] {
        inspection->transaction.m_collections.m_tx_collection->storeOrUpdateFirst(name, std::to_string(value));
        return true;
    });
}

bool drawbridge_inspection_connection(drawbridge_inspection *inspection, const char *client, uint16_t port) {
    return guarded([&] { return inspection->transaction.processConnection(client, port, "", 0) != 0; });
}

bool drawbridge_inspection_line(
    drawbridge_inspection *inspection, const char *method, const uint8_t *target, size_t length, const char *version) {
    return guarded([&] {
        std::string text(reinterpret_cast<const char *>(target), length);
        return inspection->transaction.processURI(text.c_str(), method, version) != 0;
    });
}

bool drawbridge_inspection_field(
    drawbridge_inspection *inspection, const uint8_t *name, size_t name_length, const uint8_t *value,
    size_t value_length) {
    return guarded([&] {
        return inspection->transaction.addRequestHeader(name, name_length, value, value_length) != 0;
    });
}

bool drawbridge_inspection_run(drawbridge_inspection *inspection, const uint8_t *content, size_t length) {
    return guarded([&] {
        auto &transaction = inspection->transaction;
        drawbridge::RegexBudget budget(inspection->processor_time, inspection->is_exhausted, inspection->searches);
        if (transaction.processRequestHeaders() == 0) return false;
        if (drawbridge_inspection_refusal(inspection) != 0) return true;
        if (length > 0 && transaction.appendRequestBody(content, length) == 0) return false;
        return transaction.processRequestBody() != 0;
    });
}

bool drawbridge_inspection_is_complete(const drawbridge_inspection *inspection) { return !inspection->is_exhausted; }

uint64_t drawbridge_inspection_searches(const drawbridge_inspection *inspection) { return inspection->searches; }

int drawbridge_inspection_refusal(const drawbridge_inspection *inspection) {
    const auto &intervention = inspection->transaction.m_it;
    if (intervention.disruptive == 0) return 0;
    return intervention.status == 0 ? 403 : intervention.status;
}

int64_t drawbridge_inspection_get(const drawbridge_inspection *inspection, const char *name) {
    int64_t value = 0;
    guarded([&] {
        auto text = inspection->transaction.m_collections.m_tx_collection->resolveFirst(name);
        if (text) value = std::strtoll(text->c_str(), nullptr, 10);
        return true;
    });
    return value;
}

size_t drawbridge_inspection_match_count(const drawbridge_inspection *inspection) {
    return inspection->matches.size();
}

drawbridge_match drawbridge_inspection_match(const drawbridge_inspection *inspection, size_t index) {
    const auto &match = inspection->matches[index];
    return {match.rule, match.score, match.variable.data(), match.variable.size()};
}
