#include "agent/est/upload.h"

#include <algorithm>

#include "agent/est/body.h"

namespace devid::est {

CsrSource ready_made(BytesView csr) {
  return {.most_bytes = csr.size(), .make = [der = to_bytes(csr)](const auto&) -> Result<Bytes> { return der; }};
}

std::size_t Upload::size() const { return encoded_size(source_->most_bytes); }

Result<> Upload::make(const std::optional<std::string>& binding) {
  const auto der = source_->make(binding);
  if (!der) return fail(der.error());
  if (der->size() > source_->most_bytes) {
    return fail({.code = Errc::internal,
                 .retry = Retry::later,
                 .what = "the request is longer than was said before it was made",
                 .reason = std::to_string(der->size()) + " bytes, not " + std::to_string(source_->most_bytes)});
  }
  text_ = encode_body(*der);
  binding_ = binding;
  return {};
}

Result<std::string> Upload::text() {
  if (text_.empty())
    if (auto made = make(std::nullopt); !made) return fail(std::move(made.error()));
  return text_;
}

Result<std::size_t> Upload::read(std::span<char> room, const std::string& binding) {
  if (binding_ != binding) {
    at_ = 0;
    if (auto made = make(binding); !made) return fail(std::move(made.error()));
  }
  const std::size_t count = std::min(room.size(), size() - at_);
  for (char& octet : room.first(count)) {
    const char line_end = (size() - at_) % 2 == 0 ? '\r' : '\n';
    octet = at_ < text_.size() ? text_[at_] : line_end;
    ++at_;
  }
  return count;
}

}  // namespace devid::est
