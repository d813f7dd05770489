#include <iostream>

#include "dbus/ctl/json.h"
#include "dbus/ctl/verbs.h"

namespace devid::ctl {

Exit check(Client& client, Format format) {
  const auto problems = client.check();
  if (!problems) return complain(problems.error());
  if (format == Format::json) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& problem : *problems) list.push_back(to_json(problem));
    print({{"problems", std::move(list)}});
  } else {
    for (const auto& problem : *problems) {
      std::cout << text(problem, "message") << "\n";
      if (const std::string hint = text(problem, "hint"); !hint.empty()) std::cout << "  hint: " << hint << "\n";
    }
    if (problems->empty()) std::cout << "the configuration is right\n";
  }
  return problems->empty() ? Exit::done : Exit::failed;
}

}  // namespace devid::ctl
