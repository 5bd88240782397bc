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

std::map<std::string, bool> failed_rows; /* by name, all rows: whether they failed */
std::string help_text;
std::string filter; /* options of the command line */
uint64_t repetitions;
std::string file_format; /* empty: no file */
bool report_is_wanted;
bool only_lists;

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
 * Hands everything on to another reporter. The framework appends "/iterations:N/repeats:N/..." to
 * each name; rows here have no variants that differ in these, and it is dropped.
 */
class Shortener : public benchmark::BenchmarkReporter {
  public:
    /* The reporter stays its owner's. */
    explicit Shortener(benchmark::BenchmarkReporter *reporter) : reporter_(reporter)
    {
    }

    bool ReportContext(const Context &context) override
    {
        Context narrow = context;

        narrow.name_field_width = 0;
        for (const auto &entry : failed_rows)
            narrow.name_field_width = std::max(narrow.name_field_width, entry.first.size());
        narrow.name_field_width += std::string("_stddev").size();
        reporter_->SetOutputStream(&GetOutputStream());
        reporter_->SetErrorStream(&GetErrorStream());
        return reporter_->ReportContext(narrow);
    }

    void ReportRuns(const std::vector<Run> &reports) override
    {
        std::vector<Run> runs = reports;

        for (Run &run : runs) {
            std::string name = run.run_name.function_name;
            run.run_name = benchmark::BenchmarkName();
            run.run_name.function_name = name;
        }
        reporter_->ReportRuns(runs);
    }

    void Finalize() override
    {
        reporter_->Finalize();
    }

  private:
    benchmark::BenchmarkReporter *reporter_;
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

/* As the framework understands it; a filter that can't be read selects nothing. */
bool IsSelected(const std::string &name)
{
    bool negative = !filter.empty() && filter[0] == '-';

    if (filter.empty() || filter == "all")
        return true;
    try {
        std::regex pattern(negative ? filter.substr(1) : filter, std::regex::extended);
        return std::regex_search(name + "/", pattern) != negative;
    } catch (const std::regex_error &) {
        return false;
    }
}

uint64_t CountSelected()
{
    return static_cast<uint64_t>(
        std::count_if(failed_rows.begin(), failed_rows.end(),
                      [](const auto &entry) { return IsSelected(entry.first); }));
}

/* As --benchmark_out_format has it. */
benchmark::BenchmarkReporter *NewFileReporter()
{
    if (file_format == "console")
        return new benchmark::ConsoleReporter(benchmark::ConsoleReporter::OO_None);
    return new benchmark::JSONReporter;
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

} // namespace

extern "C" void cb_register(const struct cb_row *row)
{
    struct cb_row copy = *row;
    std::string name = row->name;

    failed_rows[name] = false;
    auto run = [copy, name](benchmark::State &framework) {
        struct cb_state state = { &framework, &name };

        if (report_progress != nullptr)
            report_progress(repetitions_done, repetitions_in_all);
        repetitions_done++;
        /* One call has all iterations of the repetition. */
        while (framework.KeepRunningBatch(framework.max_iterations))
            copy.body(&state, static_cast<uint64_t>(framework.max_iterations), copy.context);
    };
    benchmark::RegisterBenchmark(row->name, run)
        ->Iterations(static_cast<benchmark::IterationCount>(row->iterations))
        ->ComputeStatistics("iqr", Spread, benchmark::kPercentage)
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
    bool &failed = failed_rows[*state->name];

    /* Aggregates leave a failed repetition out without a word, so it is said here, once. */
    if (!failed)
        std::fprintf(stderr, "%s failed: %s\n", state->name->c_str(), message);
    failed = true;
    state->framework->SkipWithError(message);
}

extern "C" void cb_skip(struct cb_state *state, const char *remark)
{
    state->framework->SkipWithError(remark);
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
    only_lists =
        OptionValue({}, "--benchmark_list_tests=", "") == "true" ||
        std::any_of(arguments.begin(), arguments.end(), [](const char *argument) {
            std::string text = argument;
            return text == "--benchmark_list_tests" || text == "--benchmark_list_tests=true";
        });
    if (!OptionValue(arguments, "--benchmark_out=", "").empty())
        file_format = OptionValue(arguments, "--benchmark_out_format=", "json");

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
    /* The framework keeps the only one of its default reporter for ever. */
    static benchmark::BenchmarkReporter *display = benchmark::CreateDefaultDisplayReporter();
    Silence silence;
    Shortener shortener(reported ? display : &silence);
    std::unique_ptr<benchmark::BenchmarkReporter> file_reporter;
    std::unique_ptr<Shortener> file_shortener;

    for (auto &entry : failed_rows)
        entry.second = false;
    repetitions_done = 0;
    repetitions_in_all = CountSelected() * repetitions;
    report_progress = progress;
    if (file_format == "json" || file_format == "console") { /* others are the framework's */
        file_reporter.reset(NewFileReporter());
        file_shortener.reset(new Shortener(file_reporter.get()));
    }
    bool any = benchmark::RunSpecifiedBenchmarks(&shortener, file_shortener.get()) > 0;
    bool failed = std::any_of(failed_rows.begin(), failed_rows.end(),
                              [](const auto &entry) { return entry.second; });

    if (progress != nullptr)
        progress(repetitions_done, repetitions_done);
    return any && !failed;
}

extern "C" bool cb_report_is_wanted(void)
{
    return report_is_wanted;
}

extern "C" bool cb_only_lists(void)
{
    return only_lists;
}

extern "C" uint64_t cb_repetitions(void)
{
    return repetitions;
}

extern "C" bool cb_is_selected(const char *name)
{
    return IsSelected(name);
}
