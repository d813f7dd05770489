#include "agent/identity/configuration_parser.h"

#include "agent/identity/table_parser.h"

namespace devid::identity {

Result<Configuration> parse_configuration(std::string_view text, const std::filesystem::path& file) {
  const auto root = parse_toml(text, file);
  if (!root) return fail(root.error());
  Complaints complaints(file);
  TableParser top(*root, "", complaints);
  Configuration configuration;
  TableParser tpm = top.table("tpm");
  configuration.tpm.tcti = tpm.string("tcti").value_or(configuration.tpm.tcti);
  tpm.refuse_unknown();
  top.refuse_unknown();
  if (auto complaint = complaints.first()) return fail(std::move(*complaint));
  return configuration;
}

}  // namespace devid::identity
