#include "tests/bench/load_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace devid::test {
namespace {

constexpr int width = 1000;
constexpr int height = 240;
constexpr int left = 70;
constexpr int right = 130;
constexpr int top = 40;
constexpr int bottom = 50;
constexpr int pitch = height + top + bottom;
constexpr Seconds minute = std::chrono::minutes(1);

/// A round number at or above a fifth of the range: 1, 2 or 5 times a power of ten.
double tick(double range) {
  const double power = std::pow(10, std::floor(std::log10(range / 5)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= range / 5) return factor * power;
  return 10 * power;
}

class Drawing {
 public:
  Drawing(const LoadPanel& panel, const FleetOptions& options, int y)
      : panel_(panel), options_(options), peaks_(peaks(panel.load, options)), y_(y), most_(5.5 * peaks_.mean) {}

  std::string draw() {
    out_ = fmt::format(R"svg(<g transform="translate({},{})"><text y="-14" class="title">{}</text>)svg", left, y_ + top,
                       panel_.title);
    shade();
    columns();
    limit(1, "mean");
    limit(3, "3 × mean");
    limit(5, "5 × mean");
    axes();
    return out_ + "</g>\n";
  }

 private:
  [[nodiscard]] double x(Seconds time) const {
    const double share =
        static_cast<double>((time - panel_.from).count()) / static_cast<double>((panel_.to - panel_.from).count());
    return width * std::clamp(share, 0.0, 1.0);
  }
  [[nodiscard]] double y(double load) const { return height * (1 - (std::min(load, most_) / most_)); }

  void shade() {
    const double begin = x(options_.outage_at);
    const double end = x(options_.outage_at + options_.outage);
    out_ += fmt::format(R"(<rect x="{:.1f}" width="{:.1f}" height="{}" class="outage"/>)", begin,
                        std::max(end - begin, 1.0), height);
    out_ += fmt::format(R"(<text x="{:.1f}" y="12" class="note">no server</text>)", end + 4);
  }

  /// For each pixel the highest minute, as an area, and the average, as a line.
  void columns() {
    std::string highest = fmt::format("0,{}", height);
    std::string average;
    const auto first = static_cast<std::size_t>(panel_.from / minute);
    const auto last = std::min(static_cast<std::size_t>(panel_.to / minute), panel_.load.size());
    const std::size_t step = std::max<std::size_t>(1, (last - first) / width);
    for (std::size_t at = first; at + step <= last; at += step) {
      const auto column = panel_.load.subspan(at, step);
      double sum = 0;
      for (const std::uint32_t load : column) sum += load;
      const double here = x(static_cast<Seconds::rep>(at) * minute);
      highest += fmt::format(" {:.1f},{:.1f}", here, y(*std::ranges::max_element(column)));
      average += fmt::format(" {:.1f},{:.1f}", here, y(sum / static_cast<double>(step)));
    }
    out_ += fmt::format(R"(<polygon points="{} {},{}" class="highest"/>)", highest, width, height);
    if (step > 1) out_ += fmt::format(R"(<polyline points="{}" class="average"/>)", average);
  }

  void limit(int factor, std::string_view name) {
    const double load = peaks_.mean * factor;
    out_ += fmt::format(R"(<line x2="{}" y1="{:.1f}" y2="{:.1f}" class="limit"/>)", width, y(load), y(load));
    out_ +=
        fmt::format(R"(<text x="{}" y="{:.1f}" class="note">{}: {:.1f}</text>)", width + 6, y(load) + 4, name, load);
  }

  void axes() {
    out_ += fmt::format(R"(<path d="M0 0V{0}H{1}" class="axis"/>)", height, width);
    for (double load = 0; load <= most_; load += tick(most_))
      out_ += fmt::format(R"(<text x="-6" y="{:.1f}" class="number">{:g}</text>)", y(load) + 4, load);
    const Seconds unit = panel_.in_hours ? Seconds(std::chrono::hours(1)) : Seconds(std::chrono::days(1));
    const Seconds zero = panel_.in_hours ? panel_.from : Seconds(0);
    const auto range = static_cast<double>((panel_.to - panel_.from) / unit);
    const auto every = static_cast<Seconds::rep>(std::max(1.0, tick(range)));
    for (Seconds at = panel_.from; at <= panel_.to; at += every * unit)
      out_ += fmt::format(R"(<text x="{:.1f}" y="{}" class="below">{}</text>)", x(at), height + 16, (at - zero) / unit);
    out_ += fmt::format(R"(<text x="{}" y="{}" class="below">{}</text>)", width / 2, height + 34,
                        panel_.in_hours ? "hours" : "days since the first enrollment");
    out_ += fmt::format(R"svg(<text transform="translate(-50,{}) rotate(-90)" class="below">a minute</text>)svg",
                        height / 2);
  }

  const LoadPanel& panel_;
  const FleetOptions& options_;
  Peaks peaks_;
  int y_;
  double most_;  ///< the end of the axis
  std::string out_;
};

constexpr std::string_view style = R"(<style>
text { font: 12px sans-serif; } .title { font-weight: bold; font-size: 14px; }
.number { text-anchor: end; } .below { text-anchor: middle; } .note { fill: #666; }
.outage { fill: #d33; fill-opacity: 0.25; } .highest { fill: #9bc4e8; } .average { fill: none; stroke: #06509a; }
.limit { stroke: #666; stroke-dasharray: 6 3; } .axis { fill: none; stroke: #000; }
</style>
<rect width="100%" height="100%" fill="#fff"/>
)";

}  // namespace

std::string load_picture(const std::vector<LoadPanel>& panels, const FleetOptions& options) {
  std::string svg = fmt::format(R"(<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}">)",
                                left + width + right, pitch * panels.size());
  svg += style;
  int y = 0;
  for (const LoadPanel& panel : panels) {
    svg += Drawing(panel, options, y).draw();
    y += pitch;
  }
  return svg + "</svg>\n";
}

}  // namespace devid::test
