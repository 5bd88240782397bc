/* SPDX-License-Identifier: MIT */
#include "cbench.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <vector>

struct cb_state {
    benchmark::State *framework;
    const std::string *name;
};

namespace {

struct Result {
    double ns = 0;
    double spread = 0;
    std::map<std::string, double> counters;
    bool run = false;
    bool failed = false;
};

std::map<std::string, Result> results; /* by row name */
std::string help_text;
std::string filter; /* options of the command line */
uint64_t repetitions;
bool report_is_wanted;

uint64_t repetitions_done;
uint64_t repetitions_in_all;
void (*report_progress)(uint64_t done, uint64_t total);

/* A reporter that says nothing. */
class Silence : public benchmark::BenchmarkReporter {
  public:
    bool ReportContext(const Context &) override
    {
        return true;
    }

    void ReportRuns(const std::vector<Run> &) override
    {
    }
};

/*
 * Hands everything on to another reporter and keeps the medians. The framework appends
 * "/iterations:N/repeats:N/manual_time" to each name; rows here have no variants that differ in
 * these, and it is dropped.
 */
class Collector : public benchmark::BenchmarkReporter {
  public:
    explicit Collector(benchmark::BenchmarkReporter *reporter) : reporter_(reporter)
    {
    }

    bool ReportContext(const Context &context) override
    {
        Context narrow = context;

        narrow.name_field_width = 0;
        for (const auto &entry : results)
            narrow.name_field_width = std::max(narrow.name_field_width, entry.first.size());
        narrow.name_field_width += std::string("_stddev").size();
        return reporter_->ReportContext(narrow);
    }

    void ReportRuns(const std::vector<Run> &reports) override
    {
        std::vector<Run> runs = reports;

        for (Run &run : runs) {
            std::string name = run.run_name.function_name;
            run.run_name = benchmark::BenchmarkName();
            run.run_name.function_name = name;
            Keep(name, run);
        }
        reporter_->ReportRuns(runs);
    }

    void Finalize() override
    {
        reporter_->Finalize();
    }

  private:
    static void Keep(const std::string &name, const Run &run)
    {
        /* A single repetition has no aggregates and is its own median. */
        bool single = run.run_type == Run::RT_Iteration && run.repetitions <= 1;
        Result &result = results[name];

        result.run = true;
        if (run.error_occurred)
            return;
        if (run.aggregate_name == "iqr")
            result.spread = run.real_accumulated_time;
        if (!single && run.aggregate_name != "median")
            return;
        result.ns = run.GetAdjustedRealTime();
        for (const auto &counter : run.counters)
            result.counters[counter.first] = counter.second;
    }

    std::unique_ptr<benchmark::BenchmarkReporter> reporter_;
};

/* "--benchmark_repetitions=9" -> BENCHMARK_REPETITIONS, the variable with the same meaning. */
std::string EnvironmentName(const std::string &option)
{
    std::string name = option.substr(2, option.find('=') - 2);

    for (char &letter : name)
        letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
    return name;
}

/* The value of the last of several equal options, or of the environment; else `otherwise`. */
std::string OptionValue(const std::vector<char *> &arguments, const std::string &option,
                        const std::string &otherwise)
{
    const char *variable = std::getenv(EnvironmentName(option).c_str());
    std::string value = variable != nullptr ? variable : otherwise;

    for (const char *argument : arguments) {
        if (argument != nullptr && std::string(argument).compare(0, option.size(), option) == 0)
            value = argument + option.size();
    }
    return value;
}

/* How many rows the filter selects, as the framework understands it; 0 if it can't be read. */
uint64_t CountSelected()
{
    bool negative = !filter.empty() && filter[0] == '-';
    uint64_t count = 0;

    try {
        std::regex pattern(negative ? filter.substr(1) : filter, std::regex::extended);
        for (const auto &entry : results)
            count += filter.empty() || filter == "all" ||
                     std::regex_search(entry.first + "/", pattern) != negative;
    } catch (const std::regex_error &) {
        return 0;
    }
    return count;
}

void PrintHelp()
{
    std::fputs(help_text.c_str(), stdout);
    benchmark::PrintDefaultHelp();
}

/* The distance between the first and the third quartile, as a part of the median. */
double Spread(const std::vector<double> &values)
{
    std::vector<double> sorted = values;

    std::sort(sorted.begin(), sorted.end());
    size_t last = sorted.size() - 1;
    double median = sorted[last / 2];
    return median > 0 ? (sorted[last - last / 4] - sorted[last / 4]) / median : 0;
}

const Result *FindResult(const char *name)
{
    auto entry = results.find(name);

    return entry == results.end() || entry->second.failed ? nullptr : &entry->second;
}

} // namespace

extern "C" void cb_register(const struct cb_row *row)
{
    struct cb_row copy = *row;
    std::string name = row->name;

    results[name] = Result();
    auto run = [copy, name](benchmark::State &framework) {
        struct cb_state state = { &framework, &name };

        if (report_progress != nullptr)
            report_progress(repetitions_done, repetitions_in_all);
        repetitions_done++;
        /* One call has all iterations of the repetition. After a failure, which has been said, the
           others would take time for nothing. */
        while (framework.KeepRunningBatch(framework.max_iterations)) {
            if (results[name].failed)
                framework.SkipWithError("an earlier repetition failed");
            else
                copy.body(&state, static_cast<uint64_t>(framework.max_iterations), copy.context);
        }
    };
    benchmark::RegisterBenchmark(row->name, run)
        ->Iterations(static_cast<benchmark::IterationCount>(row->iterations))
        ->ComputeStatistics("iqr", Spread, benchmark::kPercentage)
        ->MeasureProcessCPUTime() /* of both threads, not of one */
        ->UseManualTime();
}

extern "C" void cb_set_time(struct cb_state *state, int64_t nanoseconds)
{
    state->framework->SetIterationTime(static_cast<double>(nanoseconds) * 1e-9);
}

extern "C" void cb_set_bytes(struct cb_state *state, uint64_t bytes)
{
    state->framework->SetBytesProcessed(static_cast<int64_t>(bytes));
}

extern "C" void cb_set_items(struct cb_state *state, uint64_t items)
{
    state->framework->SetItemsProcessed(static_cast<int64_t>(items));
}

extern "C" void cb_set_counter(struct cb_state *state, const char *name, double value)
{
    state->framework->counters[name] = value;
}

extern "C" void cb_set_label(struct cb_state *state, const char *label)
{
    state->framework->SetLabel(label);
}

extern "C" void cb_fail(struct cb_state *state, const char *message)
{
    /* Aggregates leave a failed repetition out without a word, so it is said here. */
    std::fprintf(stderr, "%s failed: %s\n", state->name->c_str(), message);
    results[*state->name].failed = true;
    state->framework->SkipWithError(message);
}

extern "C" bool cb_initialize(int argc, char **argv, const char *const *defaults, size_t count,
                              const char *help)
{
    /* The last of several equal options holds, so the defaults go first. */
    std::vector<char *> arguments = { argv[0] };
    for (size_t i = 0; i < count; i++) {
        if (std::getenv(EnvironmentName(defaults[i]).c_str()) == nullptr)
            arguments.push_back(const_cast<char *>(defaults[i]));
    }
    arguments.insert(arguments.end(), argv + 1, argv + argc);

    filter = OptionValue(arguments, "--benchmark_filter=", "");
    repetitions =
        std::strtoull(OptionValue(arguments, "--benchmark_repetitions=", "1").c_str(), nullptr, 10);
    report_is_wanted = !OptionValue(arguments, "--benchmark_format=", "").empty();

    int left = static_cast<int>(arguments.size());
    arguments.push_back(nullptr);
    help_text = help;
    benchmark::Initialize(&left, arguments.data(), PrintHelp);
    return !benchmark::ReportUnrecognizedArguments(left, arguments.data());
}

extern "C" void cb_add_context(const char *key, const char *value)
{
    benchmark::AddCustomContext(key, value);
}

extern "C" bool cb_run(bool reported, void (*progress)(uint64_t done, uint64_t total))
{
    benchmark::BenchmarkReporter *reporter =
        reported ? benchmark::CreateDefaultDisplayReporter() : new Silence;
    Collector collector(reporter);

    for (auto &entry : results)
        entry.second = Result();
    repetitions_done = 0;
    repetitions_in_all = CountSelected() * repetitions;
    report_progress = progress;
    bool any = benchmark::RunSpecifiedBenchmarks(&collector) > 0;
    bool failed = std::any_of(results.begin(), results.end(),
                              [](const auto &entry) { return entry.second.failed; });

    if (progress != nullptr)
        progress(repetitions_done, repetitions_done);
    return any && !failed;
}

extern "C" bool cb_report_is_wanted(void)
{
    return report_is_wanted;
}

extern "C" bool cb_was_run(const char *name)
{
    auto entry = results.find(name);

    return entry != results.end() && entry->second.run;
}

extern "C" double cb_median_ns(const char *name)
{
    const Result *result = FindResult(name);

    return result != nullptr ? result->ns : 0;
}

extern "C" double cb_median_counter(const char *name, const char *counter)
{
    const Result *result = FindResult(name);

    if (result == nullptr)
        return 0;
    auto entry = result->counters.find(counter);
    return entry == result->counters.end() ? 0 : entry->second;
}

extern "C" double cb_spread(const char *name)
{
    const Result *result = FindResult(name);

    return result != nullptr ? result->spread : 0;
}
