#include "agent/identity/trust_store.h"

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>

#include "agent/identity/stored_file.h"
#include "base/file.h"

namespace devid::identity {

namespace fs = std::filesystem;
namespace {

constexpr std::size_t size_limit = 2UL << 20U;
constexpr mode_t file_mode = 0644;

Result<TrustRecord> read(const fs::path& file) {
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(file, ignored))) return TrustRecord{};
  auto text = read_stored(file, size_limit);
  if (!text) return fail(std::move(text.error()));
  auto record = parse_trust_record(*text);
  if (!record) record.error().what = "cannot use " + file.string();
  return record;
}

}  // namespace

fs::path trust_file(const fs::path& directory) { return directory / "trust-anchors.json"; }

TrustStore::TrustStore(fs::path file) : file_(std::move(file)) {
  auto record = read(file_);
  if (record) {
    record_ = std::move(*record);
  } else {
    trouble_ = std::move(record.error());
  }
}

Result<> TrustStore::saw(const std::string& server, const std::vector<pki::Certificate>& certificates, Time now) {
  TrustRecord changed = record_;
  see(changed, server, certificates, now);
  return replace(std::move(changed));
}

Result<> TrustStore::learn(const pki::Rollover& rollover, std::string_view server, Time now) {
  TrustRecord changed = record_;
  std::erase_if(changed.seen, [server](const ServerAnchor& each) { return each.server == server; });
  changed.looked_at = now;
  auto learned = identity::learn(changed, rollover, now);
  auto replaced = replace(std::move(changed));
  return learned ? replaced : learned;
}

Result<ServerAnchor> TrustStore::accept(std::string_view fingerprint, std::string_view server, Time now) {
  TrustRecord changed = record_;
  auto accepted = identity::accept(changed, fingerprint, server, now);
  if (!accepted) return accepted;
  if (auto replaced = replace(std::move(changed)); !replaced) return fail(std::move(replaced.error()));
  return accepted;
}

Result<> TrustStore::pin(const pki::Certificate& certificate, const std::string& server, Time now) {
  TrustRecord changed = record_;
  identity::pin(changed, certificate, server, now);
  return replace(std::move(changed));
}

Result<> TrustStore::replace(TrustRecord changed) {
  if (trouble_ && trouble_->code != Errc::state_corrupt) return fail(*trouble_);
  if (changed == record_ && !trouble_) return {};
  if (auto written = write_file_atomically(file_, to_json(changed), file_mode); !written) return written;
  record_ = std::move(changed);
  trouble_.reset();
  return {};
}

std::vector<ServerAnchor> TrustStore::offered(const std::vector<est::Endpoint>& servers) const {
  std::vector<ServerAnchor> all;
  for (const est::Endpoint& server : servers) std::ranges::move(offered(server.base), std::back_inserter(all));
  return all;
}

}  // namespace devid::identity
