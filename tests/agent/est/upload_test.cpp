#include "agent/est/upload.h"

#include <gtest/gtest.h>

#include <array>

#include "agent/est/body.h"
#include "tests/support/command.h"

namespace devid::est {
namespace {

/// A source that makes `size` bytes with what the binding begins with, and counts.
class ASource {
 public:
  CsrSource source(std::size_t most, std::size_t size) {
    return {.most_bytes = most, .make = [this, size](const auto& binding) -> Result<Bytes> {
              ++made;
              return Bytes(size, static_cast<std::byte>(binding ? binding->front() : '-'));
            }};
  }
  unsigned made = 0;
};

std::string read_all(Upload& upload, const std::string& binding, std::size_t piece = 7) {
  std::string text;
  std::array<char, 1024> room{};
  for (;;) {
    const auto count = upload.read(std::span(room).first(piece), binding);
    if (!count) throw std::runtime_error(count.error().sentence());
    if (*count == 0) return text;
    text.append(room.data(), *count);
  }
}

TEST(AnUpload, IsTheRequestInLinesIfNothingHasToBeKnownBefore) {
  ASource maker;
  const auto source = maker.source(100, 90);
  Upload upload(source);
  EXPECT_EQ(upload.text(), encode_body(Bytes(90, std::byte{'-'})));
  EXPECT_EQ(upload.text(), encode_body(Bytes(90, std::byte{'-'})));
  EXPECT_EQ(maker.made, 1U);
}

TEST(AnUpload, HasTheSizeThatWasSaidWhateverTheSizeOfTheRequest) {
  for (std::size_t size : {0U, 1U, 2U, 3U, 47U, 48U, 49U, 95U, 96U, 97U, 199U, 200U}) {
    ASource maker;
    const auto source = maker.source(200, size);
    Upload upload(source);
    const std::string text = read_all(upload, "B");
    EXPECT_EQ(text.size(), upload.size()) << size;
    EXPECT_EQ(decode_body(text), Bytes(size, std::byte{'B'})) << size;
    EXPECT_TRUE(text.ends_with("\r\n")) << size;
  }
}

/// libest reads with BIO_f_base64, as the openssl command does.
TEST(AnUpload, IsReadByOpenSslInSpiteOfTheEmptyLines) {
  for (const std::size_t size : {1U, 47U, 48U, 96U, 500U, 700U}) {
    ASource maker;
    const auto source = maker.source(5000, size);
    Upload upload(source);
    EXPECT_EQ(devid::test::output_of({.argv = {"openssl", "base64", "-d"}, .input = read_all(upload, "B", 1000)}),
              std::string(size, 'B'));
  }
}

TEST(AnUpload, IsMadeAgainForAnotherBindingAlone) {
  ASource maker;
  const auto source = maker.source(200, 100);
  Upload upload(source);
  const std::string first = read_all(upload, "B");
  upload.rewind();
  EXPECT_EQ(read_all(upload, "B"), first);
  EXPECT_EQ(maker.made, 1U);
  upload.rewind();
  EXPECT_EQ(decode_body(read_all(upload, "C")), Bytes(100, std::byte{'C'}));
  EXPECT_EQ(maker.made, 2U);
}

TEST(AnUpload, PassesOnWhatTheSourceSays) {
  const CsrSource source{.most_bytes = 100, .make = [](const auto&) -> Result<Bytes> {
                           return fail({.code = Errc::token_locked_out, .what = "not now"});
                         }};
  Upload upload(source);
  std::array<char, 10> room{};
  EXPECT_EQ(upload.read(room, "B").error().code, Errc::token_locked_out);
  EXPECT_EQ(upload.text().error().code, Errc::token_locked_out);
}

TEST(AnUpload, IsNoLongerThanItsSourceHasSaid) {
  ASource maker;
  const auto source = maker.source(100, 101);
  Upload upload(source);
  std::array<char, 10> room{};
  EXPECT_EQ(upload.read(room, "B").error().code, Errc::internal);
}

}  // namespace
}  // namespace devid::est
