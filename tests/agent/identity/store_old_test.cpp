#include "tests/agent/identity/store_fixture.h"

namespace devid::identity {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

/// A store with what is not current: what may become the next generation, and what was.
class AStoreWithMoreThanTheCurrent : public AStore {
 protected:
  static Time at(int seconds) { return Time(Seconds(1772366400 + seconds)); }
};

TEST_F(AStoreWithMoreThanTheCurrent, KeepsOneCandidate) {
  Store store = store_with(1);
  ASSERT_TRUE(store.candidate());
  EXPECT_FALSE(*store.candidate());
  ASSERT_TRUE(store.save_candidate(material[1]));
  EXPECT_EQ(store.save_candidate(material[2]).error().code, Errc::wrong_state);
  expect_same(**store.candidate(), material[1], 0);
  expect_current(0, 1);
  ASSERT_TRUE(store.discard_candidate());
  EXPECT_FALSE(*store.candidate());
  EXPECT_TRUE(store.discard_candidate());
  EXPECT_THAT(names_in(place()), UnorderedElementsAre("generation", "current"));
}

TEST_F(AStoreWithMoreThanTheCurrent, RefusesACandidateWhosePartsDoNotBelongTogether) {
  Store store = store_with(1);
  Generation wrong = material[1];
  wrong.provenance.public_key = material[2].provenance.public_key;
  EXPECT_EQ(store.save_candidate(wrong).error().code, Errc::state_corrupt);
  EXPECT_THAT(names_in(place()), UnorderedElementsAre("generation", "current"));
}

TEST_F(AStoreWithMoreThanTheCurrent, CleansUpACandidateThatIsAGeneration) {
  Store store = store_with(2);
  ASSERT_TRUE(store.save_candidate(material[1]));
  const auto done = store.clean_up();
  ASSERT_TRUE(done);
  EXPECT_FALSE(*store.candidate());
  EXPECT_THAT(done->abandoned_keys, IsEmpty());
}

TEST_F(AStoreWithMoreThanTheCurrent, CleansUpACandidateThatIsDamaged) {
  Store store = store_with(1);
  ASSERT_TRUE(store.save_candidate(material[1]));
  fs::resize_file(place() / "candidate/certificate.pem", 10);
  EXPECT_EQ(store.candidate().error().code, Errc::state_corrupt);
  std::vector<std::string> told;
  const auto done = store.clean_up([&](const AbandonedKey& key) {
    told.push_back(key.token_key_pem);
    EXPECT_TRUE(fs::exists(place() / "candidate")) << "told before it is gone";
  });
  ASSERT_TRUE(done);
  EXPECT_THAT(told, ElementsAre(material[1].token_key_pem));
  EXPECT_EQ(pems(*done), told);
  EXPECT_FALSE(*store.candidate());
}

TEST_F(AStoreWithMoreThanTheCurrent, KeepsARequestForAnotherCertificateOfTheCurrentKey) {
  Store store = store_with(1);
  Request request = request_for(0);
  ASSERT_TRUE(store.save_request(request));
  ASSERT_TRUE(store.clean_up());
  EXPECT_FALSE(*store.request()) << "the key has its one certificate";
  request.provenance.certificates = 2;
  ASSERT_TRUE(store.save_request(request));
  const auto done = store.clean_up();
  ASSERT_TRUE(done);
  EXPECT_EQ(**store.request(), request);
  EXPECT_THAT(done->abandoned_keys, IsEmpty());
}

TEST_F(AStoreWithMoreThanTheCurrent, GoesBackAndKeepsWhatItWentBackFrom) {
  Store store = store_with(3);
  ASSERT_TRUE(store.roll_back(2, at(10)));
  expect_current(1, 2);
  EXPECT_THAT(*store.rolled_back(), ElementsAre(RolledBack{.generation = 3, .at = at(10)}));
  ASSERT_TRUE(store.roll_back(1, at(20)));
  const auto done = store.clean_up();
  ASSERT_TRUE(done);
  EXPECT_FALSE(done->fell_back);
  EXPECT_THAT(done->abandoned_keys, IsEmpty());
  expect_current(0, 1);
  EXPECT_THAT(names_in(place() / "generation"), UnorderedElementsAre("1", "2", "3"));
  EXPECT_EQ(*store.install(material[1]), 4U);
  EXPECT_THAT(*store.rolled_back(), IsEmpty());
  EXPECT_EQ(store.all_rolled_back()->size(), 2U);
}

TEST_F(AStoreWithMoreThanTheCurrent, GivesNoNumberTwice) {
  Store store = store_with(3);
  ASSERT_TRUE(store.roll_back(2, at(10)));
  ASSERT_TRUE(store.retire(3, [] {}));
  ASSERT_TRUE(store.roll_back(1, at(20)));
  ASSERT_TRUE(store.retire(2, [] {}));
  EXPECT_EQ(*store.install(material[2]), 4U);
}

TEST_F(AStoreWithMoreThanTheCurrent, GoesBackToNothingElse) {
  Store store = store_with(2);
  for (const std::uint64_t number : {0, 2, 3, 7})
    EXPECT_EQ(store.roll_back(number, at(0)).error().code, Errc::wrong_state);
  expect_current(1, 2);
  EXPECT_THAT(*store.rolled_back(), IsEmpty());
}

TEST_F(AStoreWithMoreThanTheCurrent, DoesNotTakeACurrentOneForRolledBack) {
  Store store = store_with(2);
  // The power failed before the link was turned.
  ASSERT_TRUE(write_rolled_back(place() / "rolled-back.json", {{.generation = 2, .at = at(0)}}));
  ASSERT_TRUE(store.clean_up());
  expect_current(1, 2);
  EXPECT_THAT(*store.rolled_back(), IsEmpty());
}

TEST_F(AStoreWithMoreThanTheCurrent, ReadsADamagedListAsNone) {
  Store store = store_with(2);
  for (const std::string text :
       {"", "{", "[]", "{\"version\":2,\"generations\":[]}", "{\"version\":1}", "{\"version\":1,\"generations\":{}}",
        "{\"version\":1,\"generations\":[1,null,{},{\"generation\":-1,\"at\":1},{\"generation\":1,\"at\":\"x\"}]}"}) {
    write_text(place() / "rolled-back.json", text);
    const auto list = store.all_rolled_back();
    ASSERT_TRUE(list) << text;
    EXPECT_THAT(*list, IsEmpty()) << text;
  }
}

TEST_F(AStoreWithMoreThanTheCurrent, TakesAwayWhatIsNotCurrent) {
  Store store = store_with(2);
  bool told = false;
  EXPECT_EQ(store.retire(2, [&] { told = true; }).error().code, Errc::wrong_state);
  EXPECT_FALSE(told);
  ASSERT_TRUE(store.retire(1, [&] {
    told = true;
    EXPECT_EQ(store.keys_of_generations()->size(), 1U) << "its key is not counted any more";
  }));
  EXPECT_TRUE(told);
  EXPECT_THAT(names_in(place() / "generation"), UnorderedElementsAre("2"));
  EXPECT_EQ(*store.install(material[2]), 3U);
}

TEST_F(AStoreWithMoreThanTheCurrent, KnowsEveryKeyThatIsInUse) {
  Store store = store_with(3);
  fs::rename(generation(2), generation(2).string() + ".damaged");
  EXPECT_EQ(store.keys_of_generations()->size(), 3U) << "that of a damaged one, too";
  fs::remove_all(generation(2).string() + ".damaged");
  EXPECT_EQ(store.keys_in_use()->size(), 2U);
  ASSERT_TRUE(store.save_request(request_for(1)));
  EXPECT_EQ(store.keys_in_use()->size(), 3U);
}

}  // namespace
}  // namespace devid::identity
