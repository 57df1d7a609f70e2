// Kafka Streams: the rule as a filter, one thread. The last argument is the processing guarantee.
//
//   java -cp "$KAFKA_HOME/libs/*" StreamsPeer.java --bootstrap HOST:PORT ... --guarantee exactly_once_v2

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

public final class StreamsPeer {
    private static final JsonFactory JSON = new JsonFactory();

    /** Reads two fields and skips the rest without building a tree. */
    private record Rule(String levelField, Set<String> levels, String textField, String needle) {
        boolean matches(byte[] value) {
            try (JsonParser parser = JSON.createParser(value)) {
                boolean found = false;
                parser.nextToken();
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    String name = parser.currentName();
                    JsonToken token = parser.nextToken();
                    if (token == JsonToken.VALUE_STRING && name.equals(levelField)) {
                        found |= levels.contains(parser.getText());
                    } else if (token == JsonToken.VALUE_STRING && name.equals(textField)) {
                        found |= parser.getText().contains(needle);
                    } else {
                        parser.skipChildren();
                    }
                }
                return found;
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        Map<String, String> given = new HashMap<>();
        for (int index = 0; index + 1 < arguments.length; index += 2) {
            given.put(arguments[index], arguments[index + 1]);
        }
        Rule rule = new Rule(
            given.get("--level-field"),
            Set.of(given.get("--levels").split(",")),
            given.get("--text-field"),
            given.get("--needle"));

        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, given.get("--group"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, given.get("--bootstrap"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, given.get("--guarantee"));
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, given.get("--folder"));
        if (given.get("--guarantee").equals(StreamsConfig.AT_LEAST_ONCE)) {
            // The default is 30 s, longer than a run; exactly once keeps its default of 100 ms.
            settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
        }
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5_000);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 64 * 1024);

        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(given.get("--source"), Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
            .filter((key, value) -> rule.matches(value))
            .to(given.get("--target"), Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            stopped.countDown();
        }));
        streams.start();
        stopped.await();
    }
}
