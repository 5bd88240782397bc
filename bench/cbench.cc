/* SPDX-License-Identifier: MIT */
#include "cbench.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct cb_state {
    benchmark::State *framework;
    const std::string *name;
};

namespace {

struct Result {
    double ns = 0;
    double bytes_per_second = 0;
    double spread = 0;
    bool failed = false;
};

std::map<std::string, Result> results; /* by row name */
std::string help_text;
bool output_is_text = true;

/*
 * Hands everything on to the reporter that --benchmark_format chose, and keeps the medians. The
 * framework appends "/iterations:N/repeats:N/manual_time" to each name; that is the same for all
 * rows here and is dropped.
 */
class Collector : public benchmark::BenchmarkReporter {
  public:
    explicit Collector(benchmark::BenchmarkReporter *reporter) : reporter_(reporter)
    {
        output_is_text = dynamic_cast<benchmark::ConsoleReporter *>(reporter) != nullptr;
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

        if (run.error_occurred)
            return;
        if (run.aggregate_name == "iqr")
            result.spread = run.real_accumulated_time;
        if (!single && run.aggregate_name != "median")
            return;
        result.ns = run.GetAdjustedRealTime();
        auto rate = run.counters.find("bytes_per_second");
        if (rate != run.counters.end())
            result.bytes_per_second = rate->second;
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

        /* One call has all iterations of the repetition. */
        while (framework.KeepRunningBatch(framework.max_iterations))
            copy.body(&state, static_cast<uint64_t>(framework.max_iterations), copy.context);
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

extern "C" bool cb_run(void)
{
    Collector collector(benchmark::CreateDefaultDisplayReporter());
    bool any = benchmark::RunSpecifiedBenchmarks(&collector) > 0;
    bool failed = std::any_of(results.begin(), results.end(),
                              [](const auto &entry) { return entry.second.failed; });

    return any && !failed;
}

extern "C" bool cb_output_is_text(void)
{
    return output_is_text;
}

extern "C" double cb_median_ns(const char *name)
{
    const Result *result = FindResult(name);

    return result != nullptr ? result->ns : 0;
}

extern "C" double cb_median_bytes_per_second(const char *name)
{
    const Result *result = FindResult(name);

    return result != nullptr ? result->bytes_per_second : 0;
}

extern "C" double cb_spread(const char *name)
{
    const Result *result = FindResult(name);

    return result != nullptr ? result->spread : 0;
}
